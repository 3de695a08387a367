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

# Control flow that only the data decide, on a core as blocks of the plan: so many trips as a tensor has elements that are
# not negative, a loop that goes on until a sum is large, branches of which one is half a millisecond of work, long scans.
count = [N('Abs', ['x'], ['xa']), N('GreaterOrEqual', ['xa', 'o'], ['xg']), N('Cast', ['xg'], ['xi'], to=7), N('ReduceSum', ['xi'], ['n'], keepdims=0)]
body = H.make_graph([N('MatMul', ['h', 'w'], ['m']), N('Add', ['m', 'x'], ['a']), N('Tanh', ['a'], ['t']), N('Identity', ['c'], ['cn'])], 'b',
                    [I('i'), B('c'), T('h', 1, 256)], [B('cn'), T('t', 1, 256)])
p('loop_products', count + [N('Loop', ['n', 'yes', 'x'], ['y'], body=body)], {'x': f32(1, 256)}, Y,
  {'o': np.float32(0), 'yes': np.array(True), 'w': f32(256, 256) / 16})
body = H.make_graph([N('MatMul', ['h', 'w'], ['m']), N('Abs', ['m'], ['a']), N('Add', ['a', 'one'], ['t']), N('Add', ['s', 'one'], ['sn']), N('Less', ['sn', 'l'], ['cn'])],
                    'b', [I('i'), B('c'), T('h', 16, 128), T('s')], [B('cn'), T('t', 16, 128), T('sn')])
p('loop_while', count + [N('Cast', ['n'], ['l'], to=1), N('Loop', ['', 'yes', 'x', 'o'], ['y', 'e'], body=body)], {'x': f32(16, 128)}, Y,
  {'o': np.float32(0), 'one': np.float32(1), 'yes': np.array(True), 'w': f32(128, 128) / 128})
yes = H.make_graph([N('MatMul', ['x', 'w'], ['t1']), N('Relu', ['t1'], ['t2']), N('MatMul', ['t2', 'w2'], ['t'])], 't', [], [T('t', 128, 512)])
no = H.make_graph([N('MatMul', ['x', 'w2'], ['e1']), N('Sigmoid', ['e1'], ['e2']), N('MatMul', ['e2', 'w'], ['e'])], 'e', [], [T('e', 128, 512)])
p('if_heavy', [N('ReduceMax', ['x'], ['s'], keepdims=0), N('Greater', ['s', 'o'], ['c']), N('If', ['c'], ['y'], then_branch=yes, else_branch=no)],
  {'x': f32(128, 512)}, Y, {'o': np.float32(0), 'w': f32(512, 512) / 22, 'w2': f32(512, 512) / 22})
body = H.make_graph([N('MatMul', ['h', 'w'], ['m']), N('Add', ['m', 'x'], ['a']), N('Tanh', ['a'], ['t']), N('Identity', ['t'], ['o'])], 's',
                    [T('h', 1, 128), T('x', 1, 128)], [T('t', 1, 128), T('o', 1, 128)])
p('scan_3000', [N('Scan', ['h', 'x'], ['z', 'y'], body=body, num_scan_inputs=1)], {'h': f32(1, 128), 'x': f32(3000, 1, 128)}, Y, {'w': f32(128, 128) / 11})
p('scan_reverse', [N('Scan', ['h', 'x'], ['z', 'y'], body=body, num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1], scan_output_directions=[1])],
  {'h': f32(1, 128), 'x': f32(1, 2000, 128)}, Y, {'w': f32(128, 128) / 11})
body = H.make_graph([N('Gather', ['xs', 'i'], ['x'], axis=0), N('Add', ['h', 'x'], ['t']), N('Mul', ['t', 't'], ['o']), N('Identity', ['c'], ['cn'])], 'b',
                    [I('i'), B('c'), T('h', 64, 64)], [B('cn'), T('t', 64, 64), T('o', 64, 64)])
p('loop_1000', [N('Loop', ['n', 'yes', 'h'], ['z', 'y'], body=body)], {'h': f32(64, 64), 'xs': f32(1000, 64, 64)}, Y, {'n': np.int64(1000), 'yes': np.array(True)})
inner = H.make_graph([N('MatMul', ['g', 'w'], ['m']), N('Tanh', ['m'], ['gn']), N('Identity', ['c2'], ['d'])], 'i',
                     [I('j'), B('c2'), T('g', 8, 64)], [B('d'), T('gn', 8, 64)])
yes = H.make_graph([N('MatMul', ['k', 'w'], ['t'])], 't', [], [T('t', 8, 64)])
no = H.make_graph([N('MatMul', ['k', 'w2'], ['e1']), N('Sigmoid', ['e1'], ['e'])], 'e', [], [T('e', 8, 64)])
body = H.make_graph([N('Loop', ['i', '', 'h'], ['k'], body=inner), N('ReduceSum', ['k'], ['s'], keepdims=0), N('Greater', ['s', 'o'], ['cc']),
                     N('If', ['cc'], ['q'], then_branch=yes, else_branch=no), N('Add', ['q', 'x'], ['hn']), N('Identity', ['c'], ['cn'])], 'b',
                    [I('i'), B('c'), T('h', 8, 64)], [B('cn'), T('hn', 8, 64)])
p('loop_nested', [N('Slice', ['x', 'b', 'z', 'ax'], ['x0']), N('Abs', ['x0'], ['xa']), N('GreaterOrEqual', ['xa', 'o'], ['xg']), N('Cast', ['xg'], ['xi'], to=7),
                  N('ReduceSum', ['xi'], ['n'], keepdims=0), N('Loop', ['n', 'yes', 'x'], ['y'], body=body)], {'x': f32(8, 64)}, Y,
  {'b': i64(0, 0), 'z': i64(1, 20), 'ax': i64(0, 1), 'o': np.float32(0), 'yes': np.array(True), 'w': f32(64, 64) / 8, 'w2': f32(64, 64) / 8})

# Transforms and selections.
p('dft_256', [N('DFT', ['x', '', 'a'], ['y'])], {'x': f32(32, 256, 1)}, Y, {'a': np.int64(1)}, 20)
p('stft_400', [N('STFT', ['x', 'step', 'window'], ['y'])], {'x': f32(1, 16000, 1)}, Y, {'step': np.int64(160), 'window': np.hanning(400).astype('f4')}, 17)
p('nonzero_bool', [N('NonZero', ['x'], ['y'])], {'x': rng.random((1000, 100)) > .5}, {'y': np.int64(0)})
p('unique_floats', [N('Unique', ['x'], ['y'])], {'x': f32(100000)}, Y)
