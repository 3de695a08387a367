# Problems for ../shared/bench/op_bench.py (its first argument): quantised operators as quantisers write them, as QDQ
# islands and as operators of their own, with constant operands and with such that come at run time.
U8, I8, F = {'y': np.uint8(0)}, {'y': np.int8(0)}, {'y': np.float32(0)}
S = {'s': np.float32(.05), 't': np.float32(.08), 'u': np.float32(.2), 'z': np.uint8(128), 'c': np.int8(0)}
DQ = lambda x, y, s='s', z='z': N('DequantizeLinear', [x, s, z], [y])
Q = lambda x, y='y', s='u', z='z': N('QuantizeLinear', [x, s, z], [y])

# Elementwise islands, tables, pools, joins.
for op in ('Add', 'Mul'):
    p(f'qdq_{op.lower()}', [DQ('x', 'a'), DQ('b', 'd', 't'), N(op, ['a', 'd'], ['r']), Q('r')],
      {'x': u8(1, 64, 56, 56), 'b': u8(1, 64, 56, 56)}, U8, S)
p('qdq_add_relu', [DQ('x', 'a'), DQ('b', 'd', 't'), N('Add', ['a', 'd'], ['r']), N('Relu', ['r'], ['v']), Q('v')],
  {'x': u8(1, 256, 28, 28), 'b': u8(1, 256, 28, 28)}, U8, S)
for op in ('Sigmoid', 'Tanh', 'HardSwish', 'LeakyRelu', 'Gelu'):
    p(f'qdq_{op.lower()}', [DQ('x', 'a'), N(op, ['a'], ['r']), Q('r')], {'x': u8(1, 64, 56, 56)}, U8, S, 20)
p('qdq_silu', [DQ('x', 'a'), N('Sigmoid', ['a'], ['g']), N('Mul', ['a', 'g'], ['r']), Q('r')], {'x': u8(1, 64, 56, 56)}, U8, S)
p('qdq_softmax', [DQ('x', 'a'), N('Softmax', ['a'], ['r']), Q('r')], {'x': u8(12, 128, 128)}, U8, S)
p('qdq_average_pool', [DQ('x', 'a'), N('AveragePool', ['a'], ['r'], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), Q('r')],
  {'x': u8(1, 64, 56, 56)}, U8, S)
p('qdq_global_average_pool', [DQ('x', 'a'), N('GlobalAveragePool', ['a'], ['r']), Q('r')], {'x': u8(1, 512, 14, 14)}, U8, S)
p('qdq_max_pool', [DQ('x', 'a'), N('MaxPool', ['a'], ['r'], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), Q('r', s='s')],
  {'x': u8(1, 64, 112, 112)}, U8, S)
p('qdq_concat', [DQ('x', 'a'), DQ('b', 'd', 't'), N('Concat', ['a', 'd'], ['r'], axis=1), Q('r')],
  {'x': u8(1, 64, 56, 56), 'b': u8(1, 64, 56, 56)}, U8, S)
p('qdq_resize', [DQ('x', 'a'), N('Resize', ['a', '', 'k'], ['r'], mode='linear'), Q('r', s='s')],
  {'x': u8(1, 32, 28, 28)}, U8, {**S, 'k': np.float32([1, 1, 2, 2])})

# Products: constant weights per tensor and per channel, and two operands that come at run time.
for m, k, n in ((128, 768, 768), (1, 1024, 4096), (49, 96, 384)):
    p(f'qdq_gemm_{m}x{k}x{n}', [DQ('x', 'a'), N('DequantizeLinear', ['w', 'ws', 'wz'], ['b'], axis=0), N('Gemm', ['a', 'b', 'v'], ['r'], transB=1), Q('r')],
      {'x': u8(m, k)}, U8, {**S, 'w': i8(n, k), 'ws': np.full(n, .02, 'f4'), 'wz': np.zeros(n, 'i1'), 'v': f32(n)})
p('qdq_matmul_run_time', [DQ('x', 'a'), DQ('b', 'd', 't'), N('MatMul', ['a', 'd'], ['r']), Q('r')],
  {'x': u8(12, 128, 64), 'b': u8(12, 64, 128)}, U8, S)
p('matmul_integer_run_time', [N('MatMulInteger', ['x', 'b', 'z', 'z'], ['y'])], {'x': u8(12, 128, 64), 'b': u8(12, 64, 128)}, {'y': np.int32(0)}, S)
p('dynamic_quantize_matmul', [N('DynamicQuantizeLinear', ['x'], ['q', 'qs', 'qz']), N('MatMulInteger', ['q', 'w', 'qz'], ['i']), N('Cast', ['i'], ['f'], to=1),
                              N('Mul', ['qs', 'ws'], ['g']), N('Mul', ['f', 'g'], ['y'])], {'x': f32(128, 768)}, F, {'w': i8(768, 768), 'ws': np.float32(.01)})
p('conv_integer', [N('ConvInteger', ['x', 'w', 'z'], ['y'], pads=[1] * 4)], {'x': u8(1, 64, 28, 28)}, {'y': np.int32(0)}, {**S, 'w': u8(64, 64, 3, 3)})
p('qlinear_depthwise', [N('QLinearConv', ['x', 's', 'z', 'w', 's', 'c', 'u', 'z'], ['y'], pads=[1] * 4, group=96, strides=[2, 2])],
  {'x': u8(1, 96, 56, 56)}, U8, {**S, 'w': i8(96, 1, 3, 3)})
p('qdq_conv_1x1', [DQ('x', 'a'), N('DequantizeLinear', ['w', 'ws', 'wz'], ['b'], axis=0), N('Conv', ['a', 'b', 'v'], ['r']), N('Relu', ['r'], ['o']), Q('o')],
  {'x': u8(1, 256, 28, 28)}, U8, {**S, 'w': i8(128, 256, 1, 1), 'ws': np.full(128, .02, 'f4'), 'wz': np.zeros(128, 'i1'), 'v': f32(128)})
p('qdq_conv_first', [DQ('x', 'a'), DQ('w', 'b', 's', 'c'), N('Conv', ['a', 'b'], ['r'], pads=[3] * 4, strides=[2, 2]), Q('r')],
  {'x': u8(1, 3, 224, 224)}, U8, {**S, 'w': i8(64, 3, 7, 7)})
