/** Words of the sentiment task. Train and dev share things that films have, and no opinion word. */

export type Polarity = 'positive' | 'negative';

export const TRAIN_OPINIONS: Readonly<Record<Polarity, readonly string[]>> = {
  positive: [
    ...['good', 'wonderful', 'brilliant', 'funny', 'charming', 'beautiful', 'clever', 'enjoyable', 'fresh', 'moving'],
    ...['delightful', 'interesting', 'powerful', 'original', 'believable', 'exciting', 'intelligent', 'strong'],
    ...['stunning', 'outstanding', 'remarkable', 'satisfying', 'rich', 'witty', 'effective', 'compelling', 'likable'],
    ...['intriguing', 'subtle', 'honest', 'superb', 'engaging', 'solid', 'perfect', 'incredible', 'convincing'],
    ...['nice', 'warm', 'authentic', 'fine', 'worthwhile', 'genuine', 'worthy', 'natural', 'wise', 'sweet'],
  ],
  negative: [
    ...['bad', 'awful', 'boring', 'dull', 'stupid', 'silly', 'poor', 'annoying', 'flat', 'ridiculous', 'lame'],
    ...['bland', 'disappointing', 'pointless', 'cheap', 'slow', 'forgettable', 'painful', 'ugly', 'unfunny'],
    ...['fake', 'cheesy', 'awkward', 'embarrassing', 'mediocre', 'unbelievable', 'atrocious', 'irritating'],
    ...['crappy', 'absurd', 'lousy', 'amateurish', 'offensive', 'uninteresting', 'unnecessary', 'wasted', 'inept'],
    ...['pretentious', 'dated', 'contrived', 'empty', 'confusing', 'wooden', 'unrealistic', 'shallow', 'messy'],
  ],
};

export const DEV_OPINIONS: Readonly<Record<Polarity, readonly string[]>> = {
  positive: [
    ...['great', 'excellent', 'entertaining', 'memorable', 'realistic', 'terrific', 'magnificent', 'refreshing'],
    ...['haunting', 'fantastic', 'amazing', 'hilarious', 'lovely', 'smart', 'impressive', 'fascinating', 'awesome'],
    ...['sharp', 'superior', 'touching'],
  ],
  negative: [
    ...['terrible', 'weak', 'predictable', 'horrible', 'tedious', 'pathetic', 'dumb', 'laughable', 'dreadful'],
    ...['corny', 'unconvincing', 'forced', 'worthless', 'lifeless', 'lazy', 'sloppy', 'ludicrous', 'useless'],
    ...['idiotic', 'appalling'],
  ],
};

/** What an opinion is about. */
export const ASPECTS = [
  ...['the acting', 'the plot', 'the story', 'the script', 'the music', 'the ending', 'the cast', 'the dialogue'],
  ...['the direction', 'the humor', 'the camera work', 'the first half', 'the second half', 'the lead actor'],
  ...['the whole idea', 'the opening scene', 'the main character', 'the soundtrack', 'the writing', 'the rest of it'],
] as const;

export const TRAIN_INTENSIFIERS = ['very', 'really', 'quite', 'simply', 'truly'] as const;
export const DEV_INTENSIFIERS = ['so', 'absolutely', 'rather', 'pretty', 'totally'] as const;
