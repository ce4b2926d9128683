import { scheduleFactor, warmupStepsOf } from '../../src/train/schedule';

describe('scheduleFactor', () => {
  it('rises over the warm-up and falls linearly to 0', () => {
    const at = (step: number) => scheduleFactor({ schedule: 'linear', warmupSteps: 10 }, step, 100);
    expect([0, 5, 10, 55, 99, 100].map(at)).toEqual([0, 0.5, 1, 0.5, 1 / 90, 0].map((x) => expect.closeTo(x, 12)));
  });

  it('follows half a cosine', () => {
    const at = (step: number) => scheduleFactor({ schedule: 'cosine', warmupSteps: 0 }, step, 100);
    expect([0, 50, 100].map(at)).toEqual([1, expect.closeTo(0.5, 12), expect.closeTo(0, 12)]);
  });

  it('stays', () => {
    expect(scheduleFactor({ schedule: 'constant' }, 77, 100)).toBe(1);
  });

  it('takes the warm-up as a share of all steps, rounded up', () => {
    expect(warmupStepsOf({ warmupRatio: 0.06 }, 6315)).toBe(379);
    expect(warmupStepsOf({ warmupRatio: 0.5, warmupSteps: 3 }, 100)).toBe(3);
  });

  it.each([
    [{ warmupRatio: 1.5 }, /warmupRatio is 1.5/],
    [{ warmupSteps: -1 }, /warmupSteps is -1/],
    [{ schedule: 'step' as 'linear' }, /no schedule 'step'; use linear, cosine or constant/],
  ])('refuses %j', (options, message) => {
    expect(() => scheduleFactor(options, 50, 100)).toThrow(message);
  });
});
