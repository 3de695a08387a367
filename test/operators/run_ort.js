// Runs the models of JOBS.json in ONNX Runtime, for make_cases.py --record. Optimisations are off.
const fs = require('fs');
const ort = require(require.resolve('onnxruntime-node', {paths: [process.cwd()]}));
const arrays = {float32: Float32Array, float64: Float64Array, int64: BigInt64Array, uint64: BigUint64Array,
                int32: Int32Array, uint32: Uint32Array, int16: Int16Array, uint16: Uint16Array,
                int8: Int8Array, uint8: Uint8Array, bool: Uint8Array, float16: Uint16Array};

async function run(job) {
  const session = await ort.InferenceSession.create(job.folder + '/model.onnx',
      {graphOptimizationLevel: 'disabled', intraOpNumThreads: 1, logSeverityLevel: 4});
  const feeds = {};
  for (const input of job.inputs) {
    if (input.strings) {
      feeds[input.name] = new ort.Tensor('string', input.strings, input.shape);
      continue;
    }
    const bytes = fs.readFileSync(job.folder + '/' + input.name);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const isHalf = input.type === 'float16' && typeof Float16Array !== 'undefined';
    feeds[input.name] = new ort.Tensor(input.type, isHalf ? new Float16Array(buffer) : new arrays[input.type](buffer), input.shape);
  }
  const results = await session.run(feeds);
  const outputs = session.outputNames.map((name, i) => {
    const tensor = results[name];
    const shape = Array.from(tensor.dims);
    if (tensor.type === 'string') return {strings: Array.from(tensor.data), shape};
    const data = tensor.data;
    fs.writeFileSync(job.folder + '/output' + i, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return {type: tensor.type, shape};
  });
  await session.release();
  return {outputs};
}

(async () => {
  for (const job of JSON.parse(fs.readFileSync(process.argv[2]))) {
    let result;
    try {
      result = await run(job);
    } catch (e) {
      result = {error: String(e.message || e).slice(0, 300)};
    }
    fs.writeFileSync(job.folder + '/result.json', JSON.stringify(result));
  }
})();
