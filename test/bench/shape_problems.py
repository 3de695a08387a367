# Problems for ../shared/bench/op_bench.py (its first argument): shapes of models that the other files leave out. Audio,
# video, decoders, batches; movers, reductions and normalisations on odd axes; quantised, half, double and integer types.
Y = {'y': np.float32(0)}
L = {'y': np.int64(0)}


def unary(name, op, x, outputs=Y, opset=13, **attributes):
    p(name, [N(op, ['x'], ['y'], **attributes)], {'x': x}, outputs, {}, opset)


def conv(name, x, w, **attributes):
    p(name, [N('Conv', ['x', 'w', 'b'], ['y'], **attributes)], {'x': f32(*x)}, Y, {'w': f32(*w) * .05, 'b': f32(w[0])})


def deconv(name, x, w, **attributes):
    p(name, [N('ConvTranspose', ['x', 'w'], ['y'], **attributes)], {'x': f32(*x)}, Y, {'w': f32(*w) * .05})


# Audio.
conv('a_wav2vec_first', (1, 1, 16000), (512, 1, 10), strides=[5])
conv('a_wav2vec_k3s2', (1, 512, 1600), (512, 512, 3), strides=[2])
conv('a_wav2vec_pos', (1, 768, 100), (768, 48, 128), pads=[64, 64], group=16)
conv('a_whisper_s2', (1, 384, 1500), (384, 384, 3), strides=[2], pads=[1, 1])
conv('a_hifigan_d5k11', (1, 128, 2000), (128, 128, 11), dilations=[5], pads=[25, 25])
conv('a_hifigan_last', (1, 32, 20000), (1, 32, 7), pads=[3, 3])
deconv('a_hifigan_up', (1, 256, 200), (256, 128, 16), strides=[8], pads=[4, 4])
conv('a_tcn_dw', (1, 512, 1000), (512, 1, 3), dilations=[8], pads=[8, 8], group=512)
conv('a_causal_d512', (1, 32, 4000), (64, 32, 2), dilations=[512])
conv('a_encodec_s8', (1, 64, 3000), (128, 64, 16), strides=[8], pads=[4, 4])

# Video and volumes.
conv('c3_first', (1, 3, 8, 112, 112), (64, 3, 3, 7, 7), strides=[1, 2, 2], pads=[1, 3, 3, 1, 3, 3])
conv('c3_3x1x1', (1, 128, 8, 28, 28), (128, 128, 3, 1, 1), pads=[1, 0, 0, 1, 0, 0])
conv('c3_333s2', (1, 64, 16, 28, 28), (128, 64, 3, 3, 3), strides=[2, 2, 2], pads=[1] * 6)
deconv('c3_up', (1, 64, 8, 16, 16), (64, 32, 2, 2, 2), strides=[2, 2, 2])
unary('c3_avgpool', 'AveragePool', f32(1, 64, 8, 28, 28), kernel_shape=[2, 2, 2], strides=[2, 2, 2])

# Odd, large and few; batches; transposed ones.
conv('o_21x21', (1, 16, 64, 64), (16, 16, 21, 21), pads=[10] * 4)
conv('o_1x31', (1, 32, 40, 200), (32, 32, 1, 31), pads=[0, 15, 0, 15])
conv('o_31x1', (1, 32, 200, 40), (32, 32, 31, 1), pads=[15, 0, 15, 0])
conv('o_11x11s4', (1, 3, 224, 224), (64, 3, 11, 11), strides=[4, 4], pads=[2] * 4)
conv('o_5x5s2_c1', (4, 1, 128, 128), (32, 1, 5, 5), strides=[2, 2], pads=[2] * 4)
conv('o_c5_c7', (2, 5, 100, 101), (7, 5, 3, 3), pads=[1] * 4)
conv('o_c17_c19', (1, 17, 61, 63), (19, 17, 3, 3), pads=[1] * 4)
conv('o_batch32_8x8', (32, 128, 8, 8), (128, 128, 3, 3), pads=[1] * 4)
conv('o_batch32_4x4', (32, 256, 4, 4), (256, 256, 3, 3), pads=[1] * 4)
conv('o_batch8_1x1_px', (8, 960, 1, 1), (240, 960, 1, 1))
conv('o_batch16_valid7', (16, 256, 7, 7), (128, 256, 7, 7))
conv('o_3x3s3', (1, 64, 63, 63), (64, 64, 3, 3), strides=[3, 3])
conv('o_2x2s2', (1, 96, 56, 56), (192, 96, 2, 2), strides=[2, 2])
conv('o_asym', (1, 64, 57, 57), (64, 64, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
conv('o_dil6', (1, 128, 28, 28), (128, 128, 3, 3), pads=[6] * 4, dilations=[6, 6])
conv('o_groups3', (1, 48, 56, 56), (96, 16, 3, 3), pads=[1] * 4, group=3)
conv('o_dw_k3_b16', (16, 96, 14, 14), (96, 1, 3, 3), pads=[1] * 4, group=96)
conv('o_dw_d6', (1, 256, 33, 33), (256, 1, 3, 3), pads=[6] * 4, dilations=[6, 6], group=256)
conv('o_dw_7x1', (1, 64, 56, 56), (64, 1, 7, 1), pads=[3, 0, 3, 0], group=64)
conv('o_dw_51', (1, 32, 56, 56), (32, 1, 51, 5), pads=[25, 2, 25, 2], group=32)
deconv('t_dw_s2', (1, 64, 32, 32), (64, 1, 2, 2), strides=[2, 2], group=64)
deconv('t_fcn32', (1, 21, 8, 8), (21, 21, 64, 64), strides=[32, 32], pads=[16] * 4)
deconv('t_3x3s1', (1, 64, 28, 28), (64, 64, 3, 3), pads=[1] * 4)
deconv('t_7x7_valid', (4, 128, 1, 1), (128, 64, 7, 7))
deconv('t_5x5s2', (1, 128, 14, 14), (128, 64, 5, 5), strides=[2, 2], pads=[2] * 4, output_padding=[1, 1])
deconv('t_groups4', (1, 64, 20, 20), (64, 16, 4, 4), strides=[2, 2], pads=[1] * 4, group=4)
deconv('t_batch8', (8, 64, 16, 16), (64, 3, 4, 4), strides=[2, 2], pads=[1] * 4)
deconv('t_9x9s3_one', (1, 32, 64, 64), (32, 1, 9, 9), strides=[3, 3], pads=[4] * 4)
deconv('t_1d_one', (1, 64, 4000), (64, 1, 16), strides=[8], pads=[4] * 2)
deconv('t_2x2_k4', (1, 256, 2, 2), (256, 128, 4, 4))
conv('o_dil24', (1, 320, 33, 33), (256, 320, 3, 3), pads=[24] * 4, dilations=[24, 24])
conv('o_7x7_px', (1, 512, 7, 7), (512, 512, 3, 3), pads=[1] * 4)

# Gathers, scatters, reductions, softmax, resizing, padding, einsum, normalisations.
p('g_embed', [N('Gather', ['w', 'i'], ['y'])], {'i': ints(30000, 4, 128)}, Y, {'w': f32(30000, 256)})
p('g_axis1', [N('Gather', ['x', 'i'], ['y'], axis=1)], {'x': f32(64, 500, 32)}, Y, {'i': rng.integers(0, 500, (200,))})
p('g_last', [N('Gather', ['x', 'i'], ['y'], axis=2)], {'x': f32(64, 50, 100)}, Y, {'i': rng.integers(0, 100, (40,))})
p('g_nd', [N('GatherND', ['x', 'i'], ['y'])], {'x': f32(100, 100, 16)}, Y, {'i': rng.integers(0, 100, (1000, 2))})
p('g_elements1', [N('GatherElements', ['x', 'i'], ['y'], axis=1)], {'x': f32(100, 300)}, Y, {'i': rng.integers(0, 300, (100, 200))})
p('s_nd_add', [N('ScatterND', ['x', 'i', 'u'], ['y'], reduction='add')], {'x': f32(100, 100, 16), 'u': f32(1000, 16)}, Y, {'i': rng.integers(0, 100, (1000, 2))}, 16)
p('s_elements0', [N('ScatterElements', ['x', 'i', 'u'], ['y'], axis=0)], {'x': f32(300, 64), 'u': f32(100, 64)}, Y, {'i': np.stack([rng.permutation(300)[:100] for _ in range(64)], 1)}, 13)
p('s_elements_add', [N('ScatterElements', ['x', 'i', 'u'], ['y'], axis=1, reduction='add')], {'x': f32(64, 300), 'u': f32(64, 500)}, Y, {'i': rng.integers(0, 300, (64, 500))}, 16)
for ax in ([1], [0, 2], [1, 2], [1, 3], [0, 1]):
    unary('r_mean_' + ''.join(map(str, ax)), 'ReduceMean', f32(8, 33, 40, 50), axes=ax)
unary('r_max_13', 'ReduceMax', f32(8, 33, 40, 50), axes=[1, 3])
unary('r_lse', 'ReduceLogSumExp', f32(64, 100, 30), axes=[1])
unary('r_l2_last', 'ReduceL2', f32(500, 128), axes=[1])
p('r_sum_i64', [N('ReduceSum', ['x', 'a'], ['y'])], {'x': ints(100, 64, 500)}, L, {'a': i64(1)})
p('r_sum_f64', [N('ReduceSum', ['x', 'a'], ['y'])], {'x': f32(64, 500).astype('f8')}, {'y': np.float64(0)}, {'a': i64(1)})
unary('r_argmax_1', 'ArgMax', f32(8, 21, 64, 64), L, axis=1)
unary('r_argmin_0', 'ArgMin', f32(300, 200), L, axis=0)
unary('sm_odd_31', 'Softmax', f32(1000, 31))
unary('sm_odd_axis0', 'Softmax', f32(17, 999), axis=0)
unary('sm_4096', 'Softmax', f32(16, 4096))
unary('sm_log_32000', 'LogSoftmax', f32(4, 32000))
unary('sm_2', 'Softmax', f32(5000, 2))
for m, a in (('nearest', {}), ('linear', {}), ('cubic', {})):
    p('rs_' + m, [N('Resize', ['x', '', 's'], ['y'], mode=m, **a)], {'x': f32(1, 64, 20, 20)}, Y, {'s': np.array([1, 1, 4, 4], 'f4')})
p('rs_nearest_13', [N('Resize', ['x', '', '', 'n'], ['y'], mode='nearest', coordinate_transformation_mode='asymmetric', nearest_mode='floor')], {'x': f32(1, 256, 13, 13)}, Y, {'n': i64(1, 256, 26, 26)})
p('rs_1d', [N('Resize', ['x', '', 's'], ['y'], mode='linear')], {'x': f32(1, 80, 500)}, Y, {'s': np.array([1, 1, 4], 'f4')})
p('rs_3d', [N('Resize', ['x', '', 's'], ['y'], mode='linear')], {'x': f32(1, 8, 10, 20, 20)}, Y, {'s': np.array([1, 1, 2, 2, 2], 'f4')})
p('rs_down_nearest', [N('Resize', ['x', '', 's'], ['y'], mode='nearest')], {'x': f32(1, 16, 128, 128)}, Y, {'s': np.array([1, 1, .5, .5], 'f4')})
p('pad_const', [N('Pad', ['x', 'q'], ['y'])], {'x': f32(8, 32, 61, 63)}, Y, {'q': i64(0, 0, 1, 1, 0, 0, 1, 1)})
p('pad_channels', [N('Pad', ['x', 'q'], ['y'])], {'x': f32(1, 32, 64, 64)}, Y, {'q': i64(0, 0, 0, 0, 0, 32, 0, 0)})
p('pad_wrap', [N('Pad', ['x', 'q'], ['y'], mode='wrap')], {'x': f32(1, 32, 60, 64)}, Y, {'q': i64(0, 0, 4, 4, 0, 0, 4, 4)}, 19)
p('pad_1d_reflect', [N('Pad', ['x', 'q'], ['y'], mode='reflect')], {'x': f32(1, 1, 48000)}, Y, {'q': i64(0, 0, 200, 0, 0, 200)})
p('cs_excl', [N('CumSum', ['x', 'a'], ['y'], exclusive=1, reverse=1)], {'x': f32(16, 5000)}, Y, {'a': np.int64(1)})
p('cs_i64', [N('CumSum', ['x', 'a'], ['y'])], {'x': ints(5, 8, 512)}, L, {'a': np.int64(1)})
for eq, a, b in (('bhid,bhjd->bhij', (2, 4, 64, 32), (2, 4, 64, 32)), ('bij,bjk->bik', (8, 60, 50), (8, 50, 70)), ('nchw,cd->ndhw', (2, 64, 20, 20), (64, 48)),
                 ('bnd,dhk->bhnk', (2, 100, 128), (128, 4, 32)), ('i,j->ij', (500,), (600,)), ('bij->bji', (16, 100, 120), None), ('bii->bi', (16, 100, 100), None), ('btd,btd->bt', (8, 200, 64), (8, 200, 64))):
    ins = {'a': f32(*a), **({'b': f32(*b)} if b else {})}
    p('e_' + eq, [N('Einsum', list(ins), ['y'], equation=eq)], ins, Y)
for d in (64, 100, 384, 1000, 4096):
    p(f'ln_{d}', [N('LayerNormalization', ['x', 's', 'b'], ['y'])], {'x': f32(200000 // d, d)}, Y, {'s': f32(d), 'b': f32(d)}, 17)
p('ln_axis1', [N('LayerNormalization', ['x', 's', 'b'], ['y'], axis=1)], {'x': f32(8, 32, 20, 20)}, Y, {'s': f32(32, 20, 20), 'b': f32(32, 20, 20)}, 17)
p('in_2d', [N('InstanceNormalization', ['x', 's', 'b'], ['y'])], {'x': f32(2, 64, 50, 50)}, Y, {'s': f32(64), 'b': f32(64)})
p('in_1d', [N('InstanceNormalization', ['x', 's', 'b'], ['y'])], {'x': f32(1, 512, 800)}, Y, {'s': f32(512), 'b': f32(512)})
p('gn_21', [N('GroupNormalization', ['x', 's', 'b'], ['y'], num_groups=32)], {'x': f32(1, 320, 32, 32)}, Y, {'s': f32(320), 'b': f32(320)}, 21)
p('lpnorm', [N('LpNormalization', ['x'], ['y'], axis=1)], {'x': f32(64, 512)}, Y)
p('mvn', [N('MeanVarianceNormalization', ['x'], ['y'], axes=[2, 3])], {'x': f32(4, 32, 40, 40)}, Y)

# Selections, attention, quantised, half, double and integer operators, movers, products.
for n, k in ((80000, 100), (100, 5), (5000, 2500), (256, 256), (32000, 50)):
    p(f'tk_{n}_{k}', [N('TopK', ['x', 'k'], ['y', 'i'])], {'x': f32(2, n)}, Y, {'k': i64(k)})
p('tk_axis1', [N('TopK', ['x', 'k'], ['y', 'i'], axis=1)], {'x': f32(2, 100, 400)}, Y, {'k': i64(3)})
p('tk_i64', [N('TopK', ['x', 'k'], ['y', 'i'])], {'x': ints(100000, 4, 3000)}, L, {'k': i64(1000)})
unary('am_50257', 'ArgMax', f32(1, 50257), L, axis=1)
unary('am_last_1', 'ArgMax', f32(1, 100, 80), L, axis=2, select_last_index=1)
p('at_1q_512', [N('MatMul', ['q', 'k'], ['s']), N('Mul', ['s', 'c'], ['t']), N('Softmax', ['t'], ['u']), N('MatMul', ['u', 'v'], ['y'])],
  {'q': f32(1, 12, 1, 64), 'k': f32(1, 12, 64, 512), 'v': f32(1, 12, 512, 64)}, Y, {'c': np.float32(.125)})
p('at_1q_b8', [N('MatMul', ['q', 'k'], ['s']), N('Mul', ['s', 'c'], ['t']), N('Softmax', ['t'], ['u']), N('MatMul', ['u', 'v'], ['y'])],
  {'q': f32(8, 8, 1, 64), 'k': f32(8, 8, 64, 200), 'v': f32(8, 8, 200, 64)}, Y, {'c': np.float32(.125)})
p('at_win49', [N('MatMul', ['q', 'k'], ['s']), N('Add', ['s', 'c'], ['t']), N('Softmax', ['t'], ['u']), N('MatMul', ['u', 'v'], ['y'])],
  {'q': f32(64, 3, 49, 32), 'k': f32(64, 3, 32, 49), 'v': f32(64, 3, 49, 32)}, Y, {'c': f32(1, 3, 49, 49)})
p('q_matmul_int_1', [N('MatMulInteger', ['x', 'w'], ['y'])], {'x': u8(1, 512)}, {'y': np.int32(0)}, {'w': i8(512, 512)})
p('q_qlconv_1x1', [N('QLinearConv', ['x', 's', 'z', 'w', 's', 'zw', 's', 'z'], ['y'])], {'x': u8(1, 64, 28, 28)}, {'y': np.uint8(0)},
  {'s': np.float32(.02), 'z': np.uint8(128), 'w': i8(128, 64, 1, 1), 'zw': np.int8(0)})
p('q_qlconv_3x3s2', [N('QLinearConv', ['x', 's', 'z', 'w', 's', 'zw', 's', 'z'], ['y'], strides=[2, 2], pads=[1] * 4)], {'x': u8(1, 32, 56, 56)}, {'y': np.uint8(0)},
  {'s': np.float32(.02), 'z': np.uint8(128), 'w': i8(64, 32, 3, 3), 'zw': np.int8(0)})
p('q_convint', [N('ConvInteger', ['x', 'w', 'z'], ['y'], pads=[1] * 4)], {'x': u8(1, 32, 28, 28)}, {'y': np.int32(0)}, {'w': u8(32, 32, 3, 3), 'z': np.uint8(7)})
p('q_dql_axis', [N('DequantizeLinear', ['x', 's', 'z'], ['y'], axis=1)], {'x': i8(4, 64, 500)}, Y, {'s': np.abs(f32(64)) + .1, 'z': np.zeros(64, 'i1')})
p('q_ql', [N('QuantizeLinear', ['x', 's', 'z'], ['y'])], {'x': f32(64, 3000)}, {'y': np.uint8(0)}, {'s': np.float32(.02), 'z': np.uint8(128)})
H2 = {'y': np.float16(0)}
D8 = {'y': np.float64(0)}
p('h_conv', [N('Conv', ['x', 'w'], ['y'], pads=[1] * 4)], {'x': f32(1, 32, 28, 28).astype('f2')}, H2, {'w': (f32(32, 32, 3, 3) * .05).astype('f2')})
p('h_softmax', [N('Softmax', ['x'], ['y'])], {'x': f32(128, 500).astype('f2')}, H2)
p('h_ln', [N('LayerNormalization', ['x', 's', 'b'], ['y'])], {'x': f32(128, 768).astype('f2')}, H2, {'s': f32(768).astype('f2'), 'b': f32(768).astype('f2')}, 17)
p('h_cast', [N('Cast', ['x'], ['y'], to=1)], {'x': f32(128, 2000).astype('f2')}, Y)
p('h_cast_to', [N('Cast', ['x'], ['y'], to=10)], {'x': f32(128, 2000)}, H2)
p('h_transpose', [N('Transpose', ['x'], ['y'], perm=[0, 2, 1])], {'x': f32(8, 128, 200).astype('f2')}, H2)
p('h_concat', [N('Concat', ['a', 'b'], ['y'], axis=1)], {'a': f32(8, 128, 200).astype('f2'), 'b': f32(8, 100, 200).astype('f2')}, H2)
for op in ('Exp', 'Tanh', 'Sqrt', 'Log', 'Sin'):
    p('d_' + op, [N(op, ['x'], ['y'])], {'x': np.abs(f32(64, 1000)).astype('f8') + .1}, D8)
p('d_softmax', [N('Softmax', ['x'], ['y'])], {'x': f32(64, 500).astype('f8')}, D8)
p('d_add', [N('Add', ['a', 'b'], ['y'])], {'a': f32(64, 1000).astype('f8'), 'b': f32(1000).astype('f8')}, D8)
I1 = {'y': np.int8(0)}
U1 = {'y': np.uint8(0)}
p('i_i32_mul', [N('Mul', ['a', 'b'], ['y'])], {'a': ints(1000, 64, 1000).astype('i4'), 'b': ints(1000, 64, 1000).astype('i4')}, {'y': np.int32(0)})
p('i_i64_div', [N('Div', ['a', 'b'], ['y'])], {'a': ints(1000, 64, 1000)}, L, {'b': np.int64(7)})
p('i_i64_div2', [N('Div', ['a', 'b'], ['y'])], {'a': ints(1000, 64, 1000), 'b': ints(1000, 64, 1000) + 1}, L)
p('i_u8_and', [N('BitwiseAnd', ['a', 'b'], ['y'])], {'a': u8(64, 1000), 'b': u8(64, 1000)}, U1, {}, 18)
p('i_shift', [N('BitShift', ['a', 'b'], ['y'], direction='RIGHT')], {'a': u8(64, 1000)}, U1, {'b': np.array(4, 'u1')})
p('i_cast_u8', [N('Cast', ['x'], ['y'], to=1)], {'x': u8(3, 224, 224)}, Y)
p('i_eq', [N('Equal', ['a', 'b'], ['y'])], {'a': ints(5, 64, 1000), 'b': ints(5, 64, 1000)}, {'y': np.bool_(0)})
p('i_cast_bool', [N('Cast', ['x'], ['y'], to=9)], {'x': f32(64, 1000)}, {'y': np.bool_(0)})
p('i_onehot', [N('OneHot', ['x', 'd', 'v'], ['y'])], {'x': ints(1000, 256)}, Y, {'d': np.int64(1000), 'v': np.array([0, 1], 'f4')})
p('i_u8_transpose', [N('Transpose', ['x'], ['y'], perm=[2, 0, 1])], {'x': u8(224, 224, 3)}, U1)
p('i_maxpool_u8', [N('MaxPool', ['x'], ['y'], kernel_shape=[2, 2], strides=[2, 2])], {'x': u8(1, 32, 56, 56)}, U1)
p('m_tile', [N('Tile', ['x', 'r'], ['y'])], {'x': f32(1, 64, 100)}, Y, {'r': i64(8, 1, 2)})
p('m_expand', [N('Expand', ['x', 'r'], ['y'])], {'x': f32(1, 64, 1, 50)}, Y, {'r': i64(4, 64, 30, 50)})
p('m_slice_step', [N('Slice', ['x', 's', 'e', 'a', 't'], ['y'])], {'x': f32(1, 64, 100, 100)}, Y, {'s': i64(0, 0), 'e': i64(100, 100), 'a': i64(2, 3), 't': i64(2, 2)})
p('m_slice_neg', [N('Slice', ['x', 's', 'e', 'a', 't'], ['y'])], {'x': f32(64, 1000)}, Y, {'s': i64(-1), 'e': i64(-10000), 'a': i64(1), 't': i64(-1)})
p('m_split', [N('Split', ['x'], ['y', 'z'], axis=1)], {'x': f32(8, 64, 900)}, {'y': np.float32(0), 'z': np.float32(0)})
p('m_concat_last', [N('Concat', ['a', 'b'], ['y'], axis=2)], {'a': f32(8, 64, 85), 'b': f32(8, 64, 91)}, Y)
p('m_tr_0213', [N('Transpose', ['x'], ['y'], perm=[0, 2, 1, 3])], {'x': f32(4, 100, 12, 64)}, Y)
p('m_tr_021_odd', [N('Transpose', ['x'], ['y'], perm=[0, 2, 1])], {'x': f32(7, 101, 203)}, Y)
p('m_tr_6d', [N('Transpose', ['x'], ['y'], perm=[0, 1, 3, 2, 4, 5])], {'x': f32(1, 8, 7, 8, 7, 96)}, Y)
p('m_d2s', [N('DepthToSpace', ['x'], ['y'], blocksize=2, mode='CRD')], {'x': f32(1, 64, 56, 56)}, Y)
p('m_s2d', [N('SpaceToDepth', ['x'], ['y'], blocksize=2)], {'x': f32(1, 3, 320, 320)}, Y)
p('m_trilu', [N('Trilu', ['x', 'k'], ['y'], upper=0)], {'x': f32(8, 200, 200)}, Y, {'k': np.int64(0)}, 14)
p('m_reverse', [N('ReverseSequence', ['x', 'l'], ['y'], batch_axis=1, time_axis=0)], {'x': f32(50, 16, 100)}, Y, {'l': rng.integers(1, 50, (16,))})
p('m_where', [N('Where', ['c', 'a', 'b'], ['y'])], {'c': f32(64, 1000) > 0, 'a': f32(64, 1000), 'b': f32(64, 1000)}, Y)
p('m_unique', [N('Unique', ['x'], ['y'])], {'x': ints(500, 5000)}, L)
p('mm_gemv', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(1, 4096)}, Y, {'w': f32(4096, 1000)})
p('mm_b', [N('MatMul', ['a', 'b'], ['y'])], {'a': f32(32, 128, 64), 'b': f32(32, 64, 128)})
p('mm_tall', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(20000, 16)}, Y, {'w': f32(16, 32)})
p('mm_n1', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(2000, 300)}, Y, {'w': f32(300, 1)})
p('mm_k1', [N('MatMul', ['a', 'b'], ['y'])], {'a': f32(8, 300, 1), 'b': f32(8, 1, 300)})
p('gridsample3', [N('GridSample', ['x', 'g'], ['y'])], {'x': f32(1, 3, 128, 128), 'g': np.clip(f32(1, 128, 128, 2), -1, 1)}, Y, {}, 16)

# Long lines, global pools, results that end in odd columns.
unary('argmax_4x32000', 'ArgMax', f32(4, 32000), L, axis=1)
unary('argmax_middle', 'ArgMax', f32(4, 100, 60), L, axis=1)
unary('reduce_max_1x50257', 'ReduceMax', f32(1, 50257), axes=[1])
unary('global_average_1d', 'GlobalAveragePool', f32(1, 512, 1000))
unary('global_average_2d', 'GlobalAveragePool', f32(1, 512, 32, 32))
unary('global_average_14', 'GlobalAveragePool', f32(1, 512, 14, 14))
unary('global_max_1d', 'GlobalMaxPool', f32(1, 512, 1000))
unary('maxpool_13s1', 'MaxPool', f32(1, 256, 20, 20), kernel_shape=[13, 13], pads=[6] * 4)
for m, k, n in ((300, 2048, 80), (128, 1024, 100), (64, 4096, 1000), (2, 2048, 1000), (8, 768, 50257), (1000, 1024, 1)):
    p(f'matmul_{m}x{k}x{n}', [N('MatMul', ['x', 'w'], ['y'])], {'x': f32(m, k)}, Y, {'w': f32(k, n) * .05})
conv('conv_91_results', (1, 256, 20, 20), (91, 256, 3, 3), pads=[1] * 4)
conv('conv_one_pixel_padded', (1, 512, 1, 1), (512, 512, 3, 3), pads=[1] * 4)
conv('conv_wide_border', (1, 16, 8, 8), (16, 16, 3, 3), pads=[20] * 4)
for n, k in ((10000, 10000), (1000, 100), (8732, 400)):
    p(f'topk_{k}_of_{n}', [N('TopK', ['x', 'k'], ['y', 'i'])], {'x': f32(1, n)}, Y, {'k': i64(k)})
