/** Asks the addon itself for a tensor on the GPU and prints what it says. */
import { native } from '../../src/native';

try {
  new (native().Parameter)('cuda', 'weight', [1], 'f32').write('value', Float32Array.of(1));
  console.log('a tensor');
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  console.log(`${code}: ${message}`);
}
