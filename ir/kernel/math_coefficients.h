// Polynomial coefficients of math_impl.h: minimax in the relative error of the function (found by
// exchange in 200-bit arithmetic, then rounded), constant term first. Those of erf and 2^r in f32 are
// least squares with weights that follow the largest error, rounded one after the other.
#pragma once

#include <cstdint>

namespace neuronc::kernel::math {

// exp(r) = 1 + r + r^2 * P(r), |r| <= ln 2
inline constexpr float kExpF32[] = {0x1.00000c0000000p-1f,  0x1.55550e0000000p-3f,
                                    0x1.554a040000000p-5f,  0x1.1128540000000p-7f,
                                    0x1.71bd5a0000000p-10f, 0x1.9b48ee0000000p-13f};
inline constexpr double kExpF64[] = {
    0x1.ffffffffffff3p-2,  0x1.55555555555b7p-3,  0x1.5555555556954p-5,  0x1.11111111081e2p-7,
    0x1.6c16c169bf4a2p-10, 0x1.a01a01b243283p-13, 0x1.a01a05830fb32p-16, 0x1.71de29f8e986ap-19,
    0x1.27e1c9573b626p-22, 0x1.ae7136bf52363p-26, 0x1.217ae73f82189p-29, 0x1.5e6d3b3eeecafp-33};

// exp(r) - 1 = r + r^2 * P(r), |r| <= ln 2 / 2
inline constexpr float kExpm1F32[] = {0x1.0000000000000p-1f,  0x1.5555560000000p-3f,
                                      0x1.5554ae0000000p-5f,  0x1.1110900000000p-7f,
                                      0x1.6d74cc0000000p-10f, 0x1.a1a18a0000000p-13f};
inline constexpr double kExpm1F64[] = {
    0x1.0000000000000p-1,  0x1.5555555555559p-3,  0x1.555555555555ap-5,  0x1.111111110f699p-7,
    0x1.6c16c16c1446fp-10, 0x1.a01a01afeeff3p-13, 0x1.a01a01b0b1dfcp-16, 0x1.71ddf838448dfp-19,
    0x1.27e4c5a600459p-22, 0x1.af5ef2cbf9932p-26, 0x1.1f95618e5a6d6p-29};

// The same with the error relative to exp(r).
inline constexpr float kExpHalfF32[] = {0x1.fffffc0000000p-2f, 0x1.5554920000000p-3f,
                                        0x1.5558ae0000000p-5f, 0x1.1239820000000p-7f,
                                        0x1.6a4f620000000p-10f};

// log(1+f) = f - f^2/2 + f^3 * P(f), f in [sqrt(1/2)-1, sqrt(2)-1]
inline constexpr float kLogF32[] = {
    0x1.55554a0000000p-2f, -0x1.0002200000000p-2f, 0x1.99a5960000000p-3f, -0x1.5478840000000p-3f,
    0x1.226e2a0000000p-3f, -0x1.0ce0860000000p-3f, 0x1.07d2040000000p-3f, -0x1.41f0ec0000000p-4f};

// log((1+s)/(1-s)) = 2s + s^3 * P(s^2), s^2 <= 0.0294
inline constexpr float kLogQuotientF32[] = {0x1.5555540000000p-1f, 0x1.999a7a0000000p-2f,
                                            0x1.2438d40000000p-2f, 0x1.e2f7100000000p-3f};
inline constexpr double kLogQuotientF64[] = {
    0x1.5555555555592p-1, 0x1.999999997fd89p-2, 0x1.24924941f3e7ap-2, 0x1.c71c5206f56a1p-3,
    0x1.74663f6ef98dfp-3, 0x1.39a1ac59ff50fp-3, 0x1.2f05fc2625ccbp-3};

// sin(r) = r + r^3 * P(r^2), |r| <= pi/4
inline constexpr float kSinF32[] = {-0x1.5555460000000p-3f, 0x1.1107560000000p-7f,
                                    -0x1.994b480000000p-13f};
inline constexpr double kSinF64[] = {-0x1.5555555555549p-3,  0x1.111111110f842p-7,
                                     -0x1.a01a019c0a359p-13, 0x1.71de357108205p-19,
                                     -0x1.ae5e60cc94c14p-26, 0x1.5d91604da11d3p-33};

// cos(r) = 1 - r^2/2 + r^4 * P(r^2), |r| <= pi/4
inline constexpr float kCosF32[] = {0x1.55554a0000000p-5f, -0x1.6c0c820000000p-10f,
                                    0x1.99ff6a0000000p-16f};
inline constexpr double kCosF64[] = {0x1.555555555554cp-5,  -0x1.6c16c16c15141p-10,
                                     0x1.a01a019cab85fp-16, -0x1.27e4f80540067p-22,
                                     0x1.1ee9e898dd5e7p-29, -0x1.8facd57e8d324p-37};

// The bits of 2/pi behind the point.
inline constexpr uint32_t kTwoOverPi[] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
    0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
    0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
    0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
    0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046};

// atan(t) = t + t^3 * P(t^2), |t| <= tan(pi/8)
inline constexpr float kAtanF32[] = {-0x1.55554a0000000p-2f, 0x1.9991ae0000000p-3f,
                                     -0x1.23b6c60000000p-3f, 0x1.b202d00000000p-4f,
                                     -0x1.f2598e0000000p-5f};
inline constexpr double kAtanF64[] = {
    -0x1.5555555555554p-2, 0x1.999999999965ap-3, -0x1.2492492475d82p-3, 0x1.c71c71b77a257p-4,
    -0x1.745d14c0021b3p-4, 0x1.3b136eb38a29fp-4, -0x1.110c7a210ee69p-4, 0x1.e17288f31132cp-5,
    -0x1.ab80cdf23bc11p-5, 0x1.70fa38b9c2925p-5, -0x1.1254e1c007736p-5, 0x1.f25b8ec961f51p-7};

// asin(s) = s + s^3 * P(s^2), |s| <= 1/2
inline constexpr float kAsinF32[] = {0x1.55554c0000000p-3f, 0x1.33388e0000000p-4f,
                                     0x1.6cac3c0000000p-5f, 0x1.04a65c0000000p-5f,
                                     0x1.d7f1c40000000p-7f, 0x1.33bbfc0000000p-5f};
inline constexpr double kAsinF64[] = {
    0x1.5555555555553p-3,  0x1.3333333333a5dp-4, 0x1.6db6db6d46ed6p-5,  0x1.f1c71ca8fc174p-6,
    0x1.6e8b9ad97ab9dp-6,  0x1.1c4f876df8957p-6, 0x1.c980aa244295fp-7,  0x1.7ba649aa3835ep-7,
    0x1.36b4ae83a3c8dp-7,  0x1.484e664f192a5p-7, 0x1.557076eb76485p-11, 0x1.97da97e6f691dp-6,
    -0x1.add637039ca4ap-6, 0x1.1402b7d1e90e1p-5};

// erf(x) = x + x * P(x^2), |x| <= 0.93 (f32) or 1 (f64)
inline constexpr float kErfSmallF32[] = {0x1.06eba60000000p-3f, -0x1.8126e20000000p-2f,
                                         0x1.ce19860000000p-4f, -0x1.b67c040000000p-6f,
                                         0x1.46d9e40000000p-8f, -0x1.38742e0000000p-11f};
inline constexpr double kErfSmallF64[] = {
    0x1.06eba8214db69p-3,  -0x1.812746b0379e6p-2,  0x1.ce2f21a042b34p-4,  -0x1.b82ce31284f34p-6,
    0x1.565bcd0dbd887p-8,  -0x1.c02db3db47c61p-11, 0x1.f9a321e488981p-14, -0x1.f4d1e4314708ap-17,
    0x1.b9df3031ffa9ep-20, -0x1.5f1f3f9f719bbp-23, 0x1.f7b98f7bc68e0p-27, -0x1.38abf91a22f4fp-30,
    0x1.0626ee64a842ap-34};

// erfc(a) = 2^P(a), a in [0.93, 3.95], with the error relative to erf(a)
inline constexpr float kErfcLog2F32[] = {-0x1.81dd9e0000000p-9f, -0x1.9d82260000000p+0f,
                                         -0x1.e144b00000000p-1f, -0x1.0ba2a20000000p-3f,
                                         0x1.6c2a640000000p-6f,  -0x1.d104c00000000p-10f};

// 2^r = 1 + r * P(r), |r| <= 1/2
inline constexpr float kExp2F32[] = {0x1.62e42a0000000p-1f, 0x1.ebf9c20000000p-3f,
                                     0x1.c6b6d80000000p-5f, 0x1.3ce8ae0000000p-7f,
                                     0x1.5bda580000000p-10f};

// erfc(a) = exp(-a^2) * P((a-2)/(a+2)), a in [1, 6]
inline constexpr double kErfcScaledF64[] = {
    0x1.058671b52c776p-2,   -0x1.b57034efd3f73p-2, 0x1.eeea7dc8a78b3p-3,   -0x1.437f0b68c0b39p-4,
    0x1.e94715979e6e9p-9,   0x1.ca95ed52f230ep-8,  -0x1.bc25a47abbcf2p-11, -0x1.016b5cb7e5499p-10,
    0x1.6d5ef4ca4a0cbp-15,  0x1.6da958f29257fp-13, 0x1.cdcd5bca23719p-16,  -0x1.ceaeb78c14047p-16,
    -0x1.d4c59c9e481edp-17, 0x1.7344366b02c2ep-20, 0x1.ff5e7fa92ff0dp-19,  0x1.3fa3111a16b58p-20,
    -0x1.3e41bb7e79c7ep-21, -0x1.99113600a171bp-22};

}  // namespace neuronc::kernel::math
