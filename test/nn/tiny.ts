/** A small model of the library's own layers, as a user would write it. */
import { gatherRows } from '../../src/graph/ops';
import type { Graph, Value } from '../../src/graph/value';
import { Dropout, Embedding, EncoderLayer, Linear, Model, ModuleList } from '../../src/nn';

export class TinyModel extends Model {
  readonly words = new Embedding(20, 8, { paddingIndex: 1 });
  readonly layer = new ModuleList(
    [0, 1, 2].map(() => new EncoderLayer({ hiddenSize: 8, numHeads: 2, intermediateSize: 16, hiddenDropout: 0.1 })),
  );
  readonly dropout = new Dropout(0.1);
  readonly classifier = new Linear(8, 2);

  forward(inputIds: Value, cuSeqlens: Value, firstToken: Value): Value {
    const rows = gatherRows(this.layer.call(this.words.call(inputIds), cuSeqlens), firstToken);
    return this.classifier.call(this.dropout.call(rows, firstToken));
  }

  forwardLogits(graph: Graph): Value {
    return this.forward(
      graph.input('inputIds', 'i32', ['T']),
      graph.input('cuSeqlens', 'i32', ['S+1']),
      graph.input('firstToken', 'i32', ['S']),
    );
  }
}
