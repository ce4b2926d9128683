// Opinion words, aspects and intensifiers. Train and dev share aspects, and no opinion word.
// Sentences are built from them in grammar.ts.

export type Polarity = 'positive' | 'negative';

export const TRAIN_OPINIONS: Readonly<Record<Polarity, readonly string[]>> = {
  positive: [
    ...['good', 'wonderful', 'brilliant', 'funny', 'charming', 'beautiful', 'clever', 'enjoyable', 'fresh'],
    ...['moving', 'delightful', 'interesting', 'powerful', 'original', 'believable', 'exciting', 'intelligent'],
    ...['strong', 'stunning', 'outstanding', 'remarkable', 'satisfying', 'rich', 'witty', 'effective', 'compelling'],
    ...['likable', 'intriguing', 'subtle', 'honest', 'superb', 'engaging', 'solid', 'perfect', 'incredible'],
    ...['convincing', 'nice', 'warm', 'authentic', 'fine', 'worthwhile', 'genuine', 'worthy', 'natural', 'wise'],
    ...['sweet', 'gripping', 'thrilling', 'graceful', 'marvelous', 'unforgettable', 'splendid', 'captivating'],
    ...['heartwarming', 'exceptional', 'adorable', 'masterful', 'thoughtful', 'imaginative', 'absorbing'],
    ...['tender', 'bold', 'lively', 'cool', 'inspired', 'magnificent'],
  ],
  negative: [
    ...['bad', 'dull', 'silly', 'poor', 'flat', 'lame', 'bland', 'disappointing', 'pointless', 'cheap', 'slow'],
    ...['forgettable', 'painful', 'ugly', 'unfunny', 'fake', 'cheesy', 'awkward', 'embarrassing', 'mediocre'],
    ...['unbelievable', 'atrocious', 'irritating', 'absurd', 'lousy', 'amateurish', 'offensive', 'uninteresting'],
    ...['unnecessary', 'wasted', 'inept', 'pretentious', 'dated', 'contrived', 'empty', 'confusing', 'wooden'],
    ...['unrealistic', 'shallow', 'messy', 'clumsy', 'hollow', 'cliched', 'mindless', 'horrid', 'frustrating'],
    ...['miserable', 'senseless', 'trite', 'insulting', 'incoherent', 'unwatchable', 'abysmal', 'tiresome'],
    ...['overrated', 'nonsensical', 'inferior', 'generic', 'corny', 'lifeless', 'lazy', 'sloppy', 'ludicrous'],
    ...['useless', 'idiotic', 'appalling'],
  ],
};

export const DEV_OPINIONS: Readonly<Record<Polarity, readonly string[]>> = {
  positive: [
    ...['great', 'excellent', 'entertaining', 'memorable', 'realistic', 'terrific', 'refreshing', 'haunting'],
    ...['fantastic', 'amazing', 'hilarious', 'lovely', 'smart', 'impressive', 'fascinating', 'awesome', 'sharp'],
    ...['superior', 'touching', 'fun'],
  ],
  negative: [
    ...['terrible', 'weak', 'predictable', 'horrible', 'tedious', 'pathetic', 'dumb', 'laughable', 'dreadful'],
    ...['unconvincing', 'forced', 'annoying', 'ridiculous', 'boring', 'awful', 'stupid', 'crappy', 'worthless'],
    ...['unpleasant'],
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
