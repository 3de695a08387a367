# Problems for ../shared/bench/op_bench.py (its first argument): attention in the forms that models have it, control
# flow, transforms and selections, in other sizes than op_problems.py.
T = lambda n, *s: H.make_tensor_value_info(n, 1, s)
B = lambda n: H.make_tensor_value_info(n, 9, [])
I = lambda n: H.make_tensor_value_info(n, 7, [])
Y = {'y': np.float32(0)}

# Attention: heads, queries, keys, size of a head; with a mask; grouped heads with a cache; as one operator.
for name, h, q, k, d in (('attention_128', 12, 128, 128, 64), ('attention_197', 3, 197, 197, 64), ('attention_49', 48, 49, 49, 32),
                         ('attention_1024', 4, 1024, 1024, 64)):
    p(name, [N('Transpose', ['k'], ['t'], perm=[0, 1, 3, 2]), N('Mul', ['q', 'c'], ['s']), N('MatMul', ['s', 't'], ['a']),
             N('Softmax', ['a'], ['w'], axis=-1), N('MatMul', ['w', 'v'], ['y'])],
      {'q': f32(1, h, q, d), 'k': f32(1, h, k, d), 'v': f32(1, h, k, d)}, Y, {'c': np.float32(d ** -.5)})
mask = np.where(np.tri(256) > 0, 0, -3e38).astype('f4')[None, None]
p('attention_masked_256', [N('Transpose', ['k'], ['t'], perm=[0, 1, 3, 2]), N('MatMul', ['q', 't'], ['a']), N('Mul', ['a', 'c'], ['b']),
                           N('Add', ['b', 'm'], ['e']), N('Softmax', ['e'], ['w'], axis=-1), N('MatMul', ['w', 'v'], ['y'])],
  {'q': f32(1, 8, 256, 64), 'k': f32(1, 8, 256, 64), 'v': f32(1, 8, 256, 64)}, Y, {'c': np.float32(.125), 'm': mask})
p('attention_grouped_cache', [N('Concat', ['pk', 'k'], ['kk'], axis=2), N('Concat', ['pv', 'v'], ['vv'], axis=2),
                              N('Unsqueeze', ['kk', 'two'], ['ku']), N('Expand', ['ku', 'shape'], ['ke']), N('Reshape', ['ke', 'flat'], ['kr']),
                              N('Unsqueeze', ['vv', 'two'], ['vu']), N('Expand', ['vu', 'shape'], ['ve']), N('Reshape', ['ve', 'flat'], ['vr']),
                              N('Transpose', ['kr'], ['t'], perm=[0, 1, 3, 2]), N('MatMul', ['q', 't'], ['a']),
                              N('Softmax', ['a'], ['w'], axis=-1), N('MatMul', ['w', 'vr'], ['y'])],
  {'q': f32(1, 16, 1, 64), 'k': f32(1, 4, 1, 64), 'v': f32(1, 4, 1, 64), 'pk': f32(1, 4, 511, 64), 'pv': f32(1, 4, 511, 64)}, Y,
  {'two': i64(2), 'shape': i64(1, 4, 4, 512, 64), 'flat': i64(1, 16, 512, 64)})
p('attention_operator', [N('Attention', ['q', 'k', 'v'], ['y'], is_causal=1)],
  {'q': f32(1, 8, 128, 64), 'k': f32(1, 4, 128, 64), 'v': f32(1, 4, 128, 64)}, Y, {}, 23)

# Control flow: a short loop that stacks its trips, one that counts by itself, a scan, branches with products.
body = H.make_graph([N('Add', ['h', 'x'], ['t']), N('Sigmoid', ['t'], ['n']), N('Identity', ['c'], ['cn'])], 'b',
                    [I('i'), B('c'), T('h', 16, 64)], [B('cn'), T('n', 16, 64), T('t', 16, 64)])
p('loop_stacked', [N('Loop', ['n20', 'yes', 'x'], ['z', 'y'], body=body)], {'x': f32(16, 64)}, Y, {'n20': np.int64(20), 'yes': np.array(True)})
body = H.make_graph([N('Add', ['i', 'one'], ['j']), N('Less', ['j', 'n30'], ['cn']), N('MatMul', ['h', 'w'], ['m']), N('Relu', ['m'], ['n'])], 'b',
                    [I('i'), B('c'), T('h', 8, 64)], [B('cn'), T('n', 8, 64)])
p('loop_counted', [N('Loop', ['most', 'yes', 'x'], ['y'], body=body)], {'x': f32(8, 64)}, Y,
  {'most': np.int64(2 ** 62), 'yes': np.array(True), 'one': np.int64(1), 'n30': np.int64(30), 'w': f32(64, 64) / 8})
body = H.make_graph([N('MatMul', ['h', 'w'], ['m']), N('Add', ['m', 'x'], ['a']), N('Tanh', ['a'], ['n']), N('Identity', ['n'], ['o'])], 's',
                    [T('h', 4, 128), T('x', 4, 128)], [T('n', 4, 128), T('o', 4, 128)])
p('scan_cell', [N('Scan', ['h', 'x'], ['z', 'y'], body=body, num_scan_inputs=1)], {'h': f32(4, 128), 'x': f32(40, 4, 128)}, Y, {'w': f32(128, 128) / 11})
yes = H.make_graph([N('MatMul', ['x', 'w'], ['t'])], 't', [], [T('t', 16, 256)])
no = H.make_graph([N('Neg', ['x'], ['e'])], 'e', [], [T('e', 16, 256)])
p('if_products', [N('ReduceMax', ['x'], ['s'], keepdims=0), N('Greater', ['s', 'o'], ['c']), N('If', ['c'], ['y'], then_branch=yes, else_branch=no)],
  {'x': f32(16, 256)}, Y, {'o': np.float32(0), 'w': f32(256, 256)})

# Transforms and selections.
p('dft_256', [N('DFT', ['x', '', 'a'], ['y'])], {'x': f32(32, 256, 1)}, Y, {'a': np.int64(1)}, 20)
p('stft_400', [N('STFT', ['x', 'step', 'window'], ['y'])], {'x': f32(1, 16000, 1)}, Y, {'step': np.int64(160), 'window': np.hanning(400).astype('f4')}, 17)
p('nonzero_bool', [N('NonZero', ['x'], ['y'])], {'x': rng.random((1000, 100)) > .5}, {'y': np.int64(0)})
p('unique_floats', [N('Unique', ['x'], ['y'])], {'x': f32(100000)}, Y)
