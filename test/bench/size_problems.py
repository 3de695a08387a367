# Problems for ../shared/bench/op_bench.py (its first argument): the operators of op_problems.py in other sizes and
# forms, and those that it leaves out.
Y = {'y': np.float32(0)}
L = {'y': np.int64(0)}


def unary(name, op, x, outputs=Y, opset=13, **attributes):
    p(name, [N(op, ['x'], ['y'], **attributes)], {'x': x}, outputs, {}, opset)


def conv(name, x, w, **attributes):
    p(name, [N('Conv', ['x', 'w', 'b'], ['y'], **attributes)], {'x': f32(*x)}, Y, {'w': f32(*w) * .05, 'b': f32(w[0])})


# Convolutions: few and many channels, odd extents, groups, strides, one and three axes, transposed.
conv('conv_3x3_c3', (1, 3, 64, 64), (16, 3, 3, 3), pads=[1, 1, 1, 1])
conv('conv_3x3_c512', (1, 512, 7, 7), (512, 512, 3, 3), pads=[1, 1, 1, 1])
conv('conv_3x3s2', (1, 64, 57, 57), (96, 64, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
conv('conv_1x1_odd', (1, 37, 29, 31), (53, 37, 1, 1))
conv('conv_1x1s2', (1, 256, 28, 28), (512, 256, 1, 1), strides=[2, 2])
conv('conv_1x7', (1, 128, 17, 17), (128, 128, 1, 7), pads=[0, 3, 0, 3])
conv('conv_groups2', (1, 96, 27, 27), (256, 48, 5, 5), pads=[2, 2, 2, 2], group=2)
conv('conv_batch8', (8, 32, 28, 28), (64, 32, 3, 3), pads=[1, 1, 1, 1])
conv('conv_patch16', (1, 3, 224, 224), (192, 3, 16, 16), strides=[16, 16])
conv('conv_1d_c1', (1, 1, 16000), (64, 1, 400), strides=[160])
conv('conv_1d_dilated', (1, 64, 1000), (64, 64, 3), dilations=[4], pads=[4, 4])
conv('conv_3d_1x3x3', (1, 16, 8, 32, 32), (32, 16, 1, 3, 3), pads=[0, 1, 1, 0, 1, 1])
conv('depthwise_3x3_dilated', (1, 96, 33, 33), (96, 1, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2], group=96)
conv('depthwise_multiplier', (1, 32, 56, 56), (64, 1, 3, 3), pads=[1, 1, 1, 1], group=32)
conv('depthwise_5x5s2', (1, 120, 28, 28), (120, 1, 5, 5), strides=[2, 2], pads=[2, 2, 2, 2], group=120)
p('conv_transposed_3x3s2', [N('ConvTranspose', ['x', 'w'], ['y'], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
  {'x': f32(1, 64, 28, 28)}, Y, {'w': f32(64, 32, 3, 3) * .05})
p('conv_transposed_8x8s4', [N('ConvTranspose', ['x', 'w'], ['y'], strides=[4, 4])], {'x': f32(1, 32, 20, 20)}, Y,
  {'w': f32(32, 16, 8, 8) * .05})

# Products.
for m, k, n in ((1, 768, 768), (3, 1000, 10), (16, 512, 512), (49, 96, 288), (512, 512, 512), (1024, 64, 256), (100, 5000, 8)):
    p(f'matmul_{m}x{k}x{n}', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(m, k)}, Y, {'w': f32(k, n) * .05})
p('matmul_broadcast', [N('MatMul', ['a', 'b'], ['y'])], {'a': f32(8, 1, 64, 32), 'b': f32(4, 32, 48)})
p('matmul_vector', [N('MatMul', ['a', 'b'], ['y'])], {'a': f32(600, 700), 'b': f32(700)})
p('gemm_transposed_a', [N('Gemm', ['a', 'b', 'c'], ['y'], transA=1, alpha=.5)], {'a': f32(300, 64)}, Y, {'b': f32(300, 200), 'c': f32(200)})
p('einsum_outer', [N('Einsum', ['a', 'b'], ['y'], equation='bi,bj->bij')], {'a': f32(16, 100), 'b': f32(16, 120)})
p('einsum_attention', [N('Einsum', ['a', 'b'], ['y'], equation='bqhd,bkhd->bhqk')], {'a': f32(1, 100, 8, 32), 'b': f32(1, 120, 8, 32)})

# Recurrent layers of other widths.
for name, op, gates, t, b, i, h in (('lstm_64', 'LSTM', 4, 50, 1, 40, 64), ('lstm_batch16', 'LSTM', 4, 20, 16, 128, 128),
                                    ('gru_128', 'GRU', 3, 100, 1, 64, 128), ('gru_batch32', 'GRU', 3, 10, 32, 64, 96)):
    p(name, [N(op, ['x', 'w', 'r', 'b'], ['y'], hidden_size=h, **({'linear_before_reset': 1} if op == 'GRU' else {}))],
      {'x': f32(t, b, i)}, Y, {'w': f32(1, gates * h, i) * .1, 'r': f32(1, gates * h, h) * .1, 'b': f32(1, 2 * gates * h) * .1}, 14)

# Pools, normalisations, reductions.
image = f32(1, 64, 56, 56)
unary('maxpool_3s1', 'MaxPool', image, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
unary('maxpool_5s1', 'MaxPool', f32(1, 128, 20, 20), kernel_shape=[5, 5], pads=[2, 2, 2, 2])
unary('maxpool_1d', 'MaxPool', f32(4, 64, 500), kernel_shape=[2], strides=[2])
unary('maxpool_3d', 'MaxPool', f32(1, 16, 16, 32, 32), kernel_shape=[2, 2, 2], strides=[2, 2, 2])
unary('averagepool_2s2', 'AveragePool', image, kernel_shape=[2, 2], strides=[2, 2])
unary('averagepool_7', 'AveragePool', f32(1, 512, 7, 7), kernel_shape=[7, 7])
unary('global_max_pool', 'GlobalMaxPool', image)
unary('lrn', 'LRN', f32(1, 64, 28, 28), size=5)
unary('softmax_1000', 'Softmax', f32(1, 1000), axis=-1)
unary('softmax_short', 'Softmax', f32(4096, 21), axis=-1)
unary('softmax_middle', 'Softmax', f32(8, 80, 400), axis=1)
p('batch_norm', [N('BatchNormalization', ['x', 's', 'b', 'm', 'v'], ['y'])], {'x': image}, Y,
  {'s': f32(64), 'b': f32(64), 'm': f32(64), 'v': np.abs(f32(64)) + 1})
p('group_norm', [N('Reshape', ['x', 'g'], ['r']), N('InstanceNormalization', ['r', 's', 'b'], ['n']), N('Reshape', ['n', 'f'], ['y'])],
  {'x': image}, Y, {'g': i64(1, 8, -1), 'f': i64(1, 64, 56, 56), 's': np.ones(8, 'f4'), 'b': np.zeros(8, 'f4')})
p('layer_norm_96', [N('LayerNormalization', ['x', 's', 'b'], ['y'])], {'x': f32(3136, 96)}, Y, {'s': f32(96), 'b': f32(96)}, 17)
p('rms_norm_parts', [N('Mul', ['x', 'x'], ['q']), N('ReduceMean', ['q'], ['m'], axes=[-1]), N('Add', ['m', 'e'], ['a']), N('Sqrt', ['a'], ['r']),
                     N('Div', ['x', 'r'], ['d']), N('Mul', ['d', 's'], ['y'])], {'x': f32(64, 2048)}, Y, {'e': np.float32(1e-6), 's': f32(2048)})
unary('reduce_mean_spatial', 'ReduceMean', image, axes=[2, 3])
unary('reduce_l2_channels', 'ReduceL2', image, axes=[1])
unary('reduce_sum_all', 'ReduceSum', f32(500, 1000), keepdims=0)
unary('reduce_max_rows', 'ReduceMax', f32(2000, 300), axes=[0])
unary('reduce_prod', 'ReduceProd', f32(64, 3000), axes=[1])
unary('argmax_last', 'ArgMax', f32(256, 1000), L, axis=-1)
p('cumsum_columns', [N('CumSum', ['x', 'a'], ['y'])], {'x': f32(500, 400)}, Y, {'a': np.int64(0)})
p('topk_smallest', [N('TopK', ['x', 'k'], ['y', 'i'], largest=0)], {'x': f32(64, 500)}, Y, {'k': i64(10)})

# Elementwise operators, of one and two operands, broadcast, of other types.
wide = f32(128, 2000)
for name, op in (('relu', 'Relu'), ('sqrt', 'Abs'), ('softplus', 'Softplus'), ('mish', 'Mish'), ('elu', 'Elu'), ('hard_swish', 'HardSwish'),
                 ('leaky_relu', 'LeakyRelu'), ('sin', 'Sin'), ('cos', 'Cos'), ('atan', 'Atan'), ('round', 'Round'), ('floor', 'Floor'), ('sign', 'Sign')):
    unary(f'elementwise_{name}', op, wide, Y, 18)
p('silu', [N('Sigmoid', ['x'], ['s']), N('Mul', ['x', 's'], ['y'])], {'x': wide})
p('gelu_tanh', [N('Mul', ['x', 'x'], ['q']), N('Mul', ['q', 'x'], ['c']), N('Mul', ['c', 'k'], ['d']), N('Add', ['d', 'x'], ['e']), N('Mul', ['e', 'r'], ['f']),
                N('Tanh', ['f'], ['t']), N('Add', ['t', 'o'], ['u']), N('Mul', ['u', 'x'], ['v']), N('Mul', ['v', 'h'], ['y'])], {'x': wide}, Y,
  {'k': np.float32(.044715), 'r': np.float32(.7978846), 'o': np.float32(1), 'h': np.float32(.5)})
for name, op in (('add', 'Add'), ('div', 'Div'), ('max', 'Max')):
    p(f'{name}_same', [N(op, ['x', 'z'], ['y'])], {'x': wide, 'z': f32(128, 2000)})
    p(f'{name}_channels', [N(op, ['x', 'z'], ['y'])], {'x': image, 'z': f32(64, 1, 1)})
p('pow_run_time', [N('Pow', ['x', 'z'], ['y'])], {'x': np.abs(f32(64, 500)) + .1, 'z': f32(64, 500)})
p('prelu', [N('PRelu', ['x', 's'], ['y'])], {'x': image}, Y, {'s': f32(64, 1, 1)})
p('clip', [N('Clip', ['x', 'l', 'h'], ['y'])], {'x': wide}, Y, {'l': np.float32(0), 'h': np.float32(6)})
p('add_i64', [N('Add', ['x', 'z'], ['y'])], {'x': ints(9, 64, 1000), 'z': ints(9, 64, 1000)}, L)
p('mod_i64', [N('Mod', ['x', 'z'], ['y'])], {'x': ints(99, 64, 1000), 'z': ints(9, 64, 1000) + 1}, L)
p('div_i32', [N('Div', ['x', 'z'], ['y'])], {'x': ints(99, 64, 1000).astype('i4'), 'z': ints(9, 64, 1000).astype('i4') + 1}, {'y': np.int32(0)})
p('greater_and', [N('Greater', ['x', 'o'], ['a']), N('Less', ['x', 't'], ['b']), N('And', ['a', 'b'], ['y'])], {'x': wide}, {'y': np.bool_(0)},
  {'o': np.float32(-1), 't': np.float32(1)})
unary('cast_f32_i64', 'Cast', wide, L, to=7)
unary('cast_f32_f16', 'Cast', wide, {'y': np.float16(0)}, to=10)
unary('cast_u8_f32', 'Cast', u8(128, 2000), Y, to=1)

# Movement of data.
unary('transpose_021', 'Transpose', f32(16, 128, 196), perm=[0, 2, 1])
unary('transpose_windows', 'Transpose', f32(8, 7, 8, 7, 96), perm=[0, 2, 1, 3, 4])
unary('space_to_depth', 'SpaceToDepth', f32(1, 16, 64, 64), blocksize=2)
p('concat_rows', [N('Concat', ['a', 'b', 'c'], ['y'], axis=0)], {'a': f32(100, 300), 'b': f32(200, 300), 'c': f32(50, 300)})
p('concat_last', [N('Concat', ['a', 'b'], ['y'], axis=-1)], {'a': f32(2000, 33), 'b': f32(2000, 31)})
p('slice_steps', [N('Slice', ['x', 's', 'e', 'a', 't'], ['y'])], {'x': f32(1, 32, 64, 64)}, Y,
  {'s': i64(0, 1), 'e': i64(64, 64), 'a': i64(2, 3), 't': i64(2, 2)})
p('tile', [N('Tile', ['x', 'r'], ['y'])], {'x': f32(8, 1, 500)}, Y, {'r': i64(1, 20, 2)})
p('expand', [N('Expand', ['x', 's'], ['y'])], {'x': f32(64, 1, 100)}, Y, {'s': i64(64, 50, 100)})
p('pad_zeros', [N('Pad', ['x', 'q'], ['y'])], {'x': image}, Y, {'q': i64(0, 0, 1, 1, 0, 0, 1, 1)})
p('gather_columns', [N('Gather', ['x', 'i'], ['y'], axis=1)], {'x': f32(500, 300)}, Y, {'i': ints(300, 100)})
p('gather_nd', [N('GatherND', ['x', 'i'], ['y'])], {'x': f32(50, 60, 64)}, Y, {'i': ints(50, 1000, 2)})
p('scatter_nd', [N('ScatterND', ['x', 'i', 'u'], ['y'])], {'x': f32(500, 256), 'u': f32(100, 256)}, Y, {'i': rng.permutation(500)[:100, None].astype('i8')})
p('one_hot', [N('OneHot', ['x', 'd', 'v'], ['y'])], {'x': ints(100, 500)}, Y, {'d': np.int64(100), 'v': np.array([0, 1], 'f4')})
unary('trilu', 'Trilu', f32(8, 200, 200), Y, 14)
p('resize_down', [N('Resize', ['x', '', 's'], ['y'], mode='linear')], {'x': f32(1, 3, 224, 224)}, Y, {'s': np.array([1, 1, .5, .5], 'f4')})
p('resize_aligned', [N('Resize', ['x', '', '', 'n'], ['y'], mode='linear', coordinate_transformation_mode='align_corners')],
  {'x': f32(1, 32, 20, 20)}, Y, {'n': i64(1, 32, 65, 65)})
boxes = np.sort(rng.random((50, 4)).astype('f4') * 40, axis=1)[:, [0, 1, 2, 3]]
for name, ratio, c in (('roi_align_c256', 2, 256), ('roi_align_adaptive', 0, 32)):
    p(name, [N('RoiAlign', ['x', 'r', 'b'], ['y'], output_height=7, output_width=7, sampling_ratio=ratio, spatial_scale=1.)],
      {'x': f32(1, c, 50, 50)}, Y, {'r': boxes, 'b': np.zeros(50, 'i8')}, 16)
p('max_roi_pool', [N('MaxRoiPool', ['x', 'r'], ['y'], pooled_shape=[7, 7])], {'x': f32(1, 64, 50, 50)}, Y,
  {'r': np.concatenate([np.zeros((50, 1), 'f4'), boxes], 1)})

# Convolutions with long rows, wide dilations, many groups, few results for a pixel; transposed ones that decoders end with.
conv('conv_1d_k7', (1, 512, 400), (512, 512, 7), pads=[3, 3])
conv('conv_1d_k41_groups16', (1, 128, 4000), (256, 8, 41), strides=[4], pads=[20, 20], group=16)
conv('conv_groups8', (2, 64, 33, 35), (128, 8, 3, 3), pads=[1] * 4, group=8)
conv('conv_groups32', (1, 256, 14, 14), (256, 8, 3, 3), pads=[1] * 4, group=32)
conv('conv_dilated12', (1, 320, 33, 33), (256, 320, 3, 3), pads=[12] * 4, dilations=[12, 12])
conv('conv_1x1_few_results', (1, 64, 200, 200), (3, 64, 1, 1))
conv('conv_3x3_one_result', (1, 64, 100, 100), (1, 64, 3, 3), pads=[1] * 4)
conv('conv_1x1_one_pixel', (1, 1280, 1, 1), (320, 1280, 1, 1))
conv('conv_3x3_batch16', (16, 64, 14, 14), (64, 64, 3, 3), pads=[1] * 4)
conv('depthwise_13x13', (1, 64, 32, 32), (64, 1, 13, 13), pads=[6] * 4, group=64)
conv('depthwise_multiplier4', (1, 16, 57, 57), (64, 1, 5, 5), pads=[2] * 4, group=16)
conv('depthwise_3d', (1, 48, 8, 28, 28), (48, 1, 3, 3, 3), pads=[1] * 6, group=48)
for name, x, w, attributes in (('4x4s2', (1, 128, 16, 16), (128, 64, 4, 4), {'strides': [2, 2], 'pads': [1] * 4}),
                               ('4x4s2_picture', (1, 64, 32, 32), (64, 3, 4, 4), {'strides': [2, 2], 'pads': [1] * 4}),
                               ('2x2s2_mask', (1, 32, 64, 64), (32, 2, 2, 2), {'strides': [2, 2]}),
                               ('9x9s3', (1, 32, 64, 64), (32, 1, 9, 9), {'strides': [3, 3], 'pads': [4] * 4}),
                               ('16x16s8', (1, 21, 32, 32), (21, 21, 16, 16), {'strides': [8, 8], 'pads': [4] * 4}),
                               ('first', (1, 512, 1, 1), (512, 512, 4, 4), {}),
                               ('depthwise', (1, 64, 20, 20), (64, 1, 4, 4), {'strides': [2, 2], 'pads': [1] * 4, 'group': 64})):
    p(f'conv_transposed_{name}', [N('ConvTranspose', ['x', 'w'], ['y'], **attributes)], {'x': f32(*x)}, Y, {'w': f32(*w) * .05})

# Products of skinny and odd shapes, and batches of small ones.
for m, k, n in ((5, 333, 777), (1000, 3, 64), (1000, 64, 3), (300, 2048, 91), (8, 8192, 8)):
    p(f'matmul_{m}x{k}x{n}', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(m, k)}, Y, {'w': f32(k, n) * .05})
for b, m, k, n in ((64, 49, 32, 49), (8, 1, 200, 64), (100, 3, 3, 3)):
    p(f'matmul_{b}_of_{m}x{k}x{n}', [N('MatMul', ['a', 'b'], ['y'])], {'a': f32(b, m, k), 'b': f32(b, k, n)})

# Recurrent layers: two of 512, wider, in both directions, with rows.
for op, gates in (('LSTM', 4), ('GRU', 3), ('RNN', 1)):
    for t, b, i, h, directions in ((50, 1, 256, 256, 1), (30, 1, 512, 1024, 1), (50, 1, 128, 128, 2), (30, 8, 256, 256, 2)):
        p(f'{op.lower()}_{h}x{directions}_batch{b}',
          [N(op, ['x', 'w', 'r', 'b'], ['y'], hidden_size=h, direction=('forward', 'bidirectional')[directions - 1])], {'x': f32(t, b, i)}, Y,
          {'w': f32(directions, gates * h, i) * h ** -.5, 'r': f32(directions, gates * h, h) * h ** -.5, 'b': f32(directions, 2 * gates * h) * .1}, 14)
p('gru_2_layers', [N('GRU', ['x', 'w', 'r', 'b'], ['h'], hidden_size=512, linear_before_reset=1), N('Squeeze', ['h', 'a'], ['s']),
                   N('GRU', ['s', 'w', 'r', 'b'], ['i'], hidden_size=512, linear_before_reset=1), N('Squeeze', ['i', 'a'], ['y'])],
  {'x': f32(64, 1, 512)}, Y, {'w': f32(1, 1536, 512) * .04, 'r': f32(1, 1536, 512) * .04, 'b': f32(1, 3072) * .1, 'a': i64(1)}, 14)

# Each axis and each mode.
for axis in range(4):
    unary(f'softmax_axis{axis}', 'Softmax', f32(8, 12, 33, 70), axis=axis)
    unary(f'reduce_max_axis{axis}', 'ReduceMax', f32(9, 11, 57, 61), axes=[axis])
for n, k in ((8400, 300), (50000, 1), (1000, 1000)):
    p(f'topk_{k}_of_{n}', [N('TopK', ['x', 'k'], ['y', 'i'])], {'x': f32(4, n)}, Y, {'k': i64(k)})
p('resize_channels_last', [N('Resize', ['x', '', 's'], ['y'], mode='linear')], {'x': f32(1, 40, 40, 32)}, Y, {'s': np.array([1, 2, 2, 1], 'f4')})
p('resize_antialiased', [N('Resize', ['x', '', '', 'n'], ['y'], mode='linear', antialias=1)], {'x': f32(1, 3, 480, 640)}, Y, {'n': i64(1, 3, 224, 224)}, 18)
p('resize_cubic', [N('Resize', ['x', '', 's'], ['y'], mode='cubic')], {'x': f32(1, 16, 41, 43)}, Y, {'s': np.array([1, 1, 2, 2], 'f4')})
for mode in ('reflect', 'edge'):
    p(f'pad_{mode}', [N('Pad', ['x', 'q'], ['y'], mode=mode)], {'x': f32(1, 32, 61, 63)}, Y, {'q': i64(0, 0, 3, 3, 0, 0, 3, 3)})
for axis in range(3):
    p(f'cumsum_axis{axis}', [N('CumSum', ['x', 'a'], ['y'])], {'x': f32(33, 65, 129)}, Y, {'a': np.int64(axis)})
p('compress_rows', [N('Compress', ['x', 'c'], ['y'], axis=0)], {'x': f32(500, 64), 'c': f32(500) > 0})
p('compress_elements', [N('Compress', ['x', 'c'], ['y'])], {'x': f32(64, 500), 'c': f32(32000) > 0})
p('nonzero_large', [N('NonZero', ['x'], ['y'])], {'x': f32(1, 500, 500)}, L)

# Halves.
for op in ('Relu', 'LeakyRelu', 'Sigmoid', 'HardSigmoid'):
    unary(f'{op.lower()}_f16', op, f32(128, 2000).astype('f2'), {'y': np.float16(0)})
for op in ('Add', 'Max'):
    p(f'{op.lower()}_f16', [N(op, ['a', 'b'], ['y'])], {'a': f32(64, 1000).astype('f2'), 'b': f32(64, 1000).astype('f2')}, {'y': np.float16(0)})

# Functions of few elements, remainders, and what quantisers leave.
p('mod_f32', [N('Mod', ['a', 'b'], ['y'], fmod=1)], {'a': f32(64, 1000), 'b': f32(64, 1000)})
p('where_mask', [N('Where', ['c', 'x', 'k'], ['y'])], {'c': f32(1, 1, 128, 128) > 0, 'x': f32(4, 12, 128, 128)}, Y, {'k': np.float32(-1e9)})
p('dynamic_matmul', [N('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']), N('MatMulInteger', ['q', 'w', 'z'], ['i']), N('Cast', ['i'], ['f'], to=1),
                     N('Mul', ['s', 'k'], ['t']), N('Mul', ['f', 't'], ['y'])], {'x': f32(77, 333)}, Y, {'w': i8(333, 129), 'k': np.float32(.01)})
corners = rng.random((1, 8400, 2)).astype('f4') * 600
p('nms_8400', [N('NonMaxSuppression', ['b', 's', 'm', 'i', 't'], ['y'])],
  {'b': np.concatenate([corners, corners + 5 + rng.random((1, 8400, 2)).astype('f4') * 60], 2), 's': rng.random((1, 20, 8400)).astype('f4')}, L,
  {'m': i64(100), 'i': np.array([.5], 'f4'), 't': np.array([.5], 'f4')})
