// An adapter as examples/service.ts serves it: requests that wait together are one batch, the queue
// is bounded, the adapter can be loaded anew.
// The service: service.ts.

// In your program all of these come from 'fused-lora'.
import { Classifier, deleteAdapter, loadAdapter, type Prediction, type TextModel } from '../src';

/** Texts of a batch, at most: more wait for the next one. */
const MOST_TEXTS = 64;

interface Waiting {
  texts: string[];
  resolve: (predictions: Prediction[]) => void;
  reject: (error: unknown) => void;
}

/** There is no room for more; the caller may try again. */
export class QueueFull extends Error {}

export class ServedAdapter {
  /** Texts that were accepted, batches that were answered, times that the adapter was loaded. */
  readonly stats = { texts: 0, batches: 0, loads: 0 };
  private classifier: Classifier | undefined;
  private name = '';
  private readonly waiting: Waiting[] = [];
  private readonly reloads: (() => void)[] = [];
  /** Texts that wait or are worked on. */
  private size = 0;
  private working: Promise<void> | undefined;

  /** @param mostWaiting texts, beyond which requests are refused. */
  constructor(
    private readonly textModel: TextModel,
    private readonly id: string,
    private readonly folder: string,
    private readonly mostWaiting: number,
  ) {
    this.load();
  }

  /** Rejects with what loading throws; the adapter that was there goes on then. */
  reload(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.reloads.push(() => {
        try {
          resolve(this.load());
        } catch (error) {
          reject(error);
        }
      });
      this.working ??= this.work();
    });
  }

  /** @throws QueueFull */
  classify(texts: string[]): Promise<Prediction[]> {
    if (this.size + texts.length > this.mostWaiting) throw new QueueFull(`${this.size} texts wait; try again`);
    this.size += texts.length;
    this.stats.texts += texts.length;
    return new Promise((resolve, reject) => {
      this.waiting.push({ texts, resolve, reject });
      this.working ??= this.work();
    });
  }

  /** Answers what waits, then frees the program. */
  async close(): Promise<void> {
    await this.working;
    this.classifier?.dispose();
  }

  /**
   * A program is made of the adapter that is active then, and keeps it; frozen weights are shared
   * by the programs of all adapters.
   */
  private load(): void {
    const { model } = this.textModel;
    const name = `${this.id}-${this.stats.loads + 1}`;
    loadAdapter(model, this.folder, { name });
    const [old, oldName] = [this.classifier, this.name];
    this.classifier = new Classifier(this.textModel);
    this.name = name;
    this.stats.loads++;
    if (!old) return;
    old.dispose();
    deleteAdapter(model, oldName);
  }

  /**
   * While a batch runs others gather: no timer, and nobody waits
   * longer than he must. Adapters are loaded between two batches.
   */
  private async work(): Promise<void> {
    await Promise.resolve();
    for (;;) {
      for (const reload of this.reloads.splice(0)) reload();
      const batch = this.takeBatch();
      if (batch.length === 0) break;
      const texts = batch.flatMap((request) => request.texts);
      try {
        const predictions = await (this.classifier as Classifier).predict(texts);
        for (const request of batch) request.resolve(predictions.splice(0, request.texts.length));
      } catch (error) {
        for (const request of batch) request.reject(error);
      }
      this.size -= texts.length;
      this.stats.batches++;
    }
    this.working = undefined;
  }

  private takeBatch(): Waiting[] {
    let [requests, texts] = [0, 0];
    for (const request of this.waiting) {
      texts += request.texts.length;
      if (requests > 0 && texts > MOST_TEXTS) break;
      requests++;
    }
    return this.waiting.splice(0, requests);
  }
}
