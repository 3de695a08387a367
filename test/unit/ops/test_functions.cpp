// Transcendental functions, softmax, recurrent layers, sums by label, text: small cases by hand.
#include <cmath>
#include <limits>

#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {
using Ints = std::vector<int64_t>;
constexpr double kInf = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("transcendental functions and activations") {
  const double e = 2.718281828459045;
  const OpCase cases[] = {
      {"exp", {}, {f32({4}, {0, 1, -kInf, 1000})}, {f32({4}, {1, e, 0, kInf})}, 1e-7},
      {"log", {}, {f32({3}, {1, e, 0})}, {f32({3}, {0, 1, -kInf})}, 1e-7},
      {"tanh", {}, {f32({3}, {0, 1, -50})}, {f32({3}, {0, 0.7615941559557649, -1})}, 1e-7},
      {"sigmoid", {}, {f32({3}, {0, 100, -1000})}, {f32({3}, {0.5, 1, 0})}, 1e-7},
      {"erf", {}, {f32({2}, {0.5, -10})}, {f32({2}, {0.5204998778130465, -1})}, 1e-7},
      {"gelu",
       {},
       {f32({2}, {1, -1})},
       {f32({2}, {0.8413447460685429, -0.15865525393145707})},
       1e-7},
      {"gelu",
       {{"approximate", std::string("tanh")}},
       {f32({1}, {1})},
       {f32({1}, {0.8411919906082768})},
       1e-7},
      {"hard_swish", {}, {f32({3}, {-4, 0, 4})}, {f32({3}, {0, 0, 4})}},
      {"leaky_relu", {{"alpha", 0.5}}, {f32({2}, {-2, 2})}, {f32({2}, {-1, 2})}},
      {"elu", {}, {f32({2}, {-1, 2})}, {f32({2}, {1 / e - 1, 2})}, 1e-7},
      {"pow", {}, {f32({3}, {2, -2, 4}), f32({3}, {3, 2, 0.5})}, {f32({3}, {8, 4, 2})}, 1e-7},
      {"pow", {}, {i64({3}, {3, -2, 2}), i64({3}, {4, 3, -1})}, {i64({3}, {81, -8, 0})}},
      {"softmax", {}, {f32({1, 2}, {1000, 1000})}, {f32({1, 2}, {0.5, 0.5})}},
      {"log_softmax",
       {{"axis", int64_t{0}}},
       {f32({2}, {0, 0})},
       {f32({2}, {-0.6931471805599453, -0.6931471805599453})},
       1e-7},
      {"hardmax", {}, {f32({1, 3}, {1, 2, 2})}, {f32({1, 3}, {0, 1, 0})}},
      {"lrn",
       {{"size", int64_t{3}}, {"alpha", 3.0}, {"beta", 1.0}},
       {f32({1, 2, 1}, {1, 2})},
       {f32({1, 2, 1}, {1.0 / 6, 2.0 / 6})},
       1e-7},
      {"lp_normalization", {}, {f32({1, 2}, {3, 4})}, {f32({1, 2}, {0.6, 0.8})}, 1e-7},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("recurrent layers with weights that keep the numbers simple") {
  const Attributes linear{{"activations", std::vector<std::string>{"Affine"}},
                          {"hidden_size", int64_t{1}}};
  const Attributes backward{{"activations", std::vector<std::string>{"Affine"}},
                            {"direction", std::string("reverse")}};
  const std::optional<Tensor> none;
  const Tensor x = f32({3, 1, 1}, {1, 2, 3});
  const Tensor w = f32({1, 1, 1}, {1});
  const Tensor r = f32({1, 1, 1}, {10});
  const OpCase cases[] = {
      {"rnn", linear, {x, w, r}, {f32({3, 1, 1, 1}, {1, 12, 123}), f32({1, 1, 1}, {123})}},
      {"rnn", backward, {x, w, r}, {f32({3, 1, 1, 1}, {321, 32, 3}), f32({1, 1, 1}, {321})}},
      {"rnn",
       linear,
       {x, w, r, none, numbers(DType::i32, {1}, {2}), f32({1, 1, 1}, {1})},
       {f32({3, 1, 1, 1}, {11, 112, 0}), f32({1, 1, 1}, {112})}},
      // Gates held at 1/2 by zero weights; the candidate is 0, so the state halves.
      {"gru",
       {},
       {f32({1, 1, 1}, {5}), f32({1, 3, 1}, {0, 0, 0}), f32({1, 3, 1}, {0, 0, 0}), none, none,
        f32({1, 1, 1}, {8})},
       {f32({1, 1, 1, 1}, {4})}},
      {"lstm",
       {{"activations", std::vector<std::string>{"Sigmoid", "Affine", "Affine"}}},
       {f32({1, 1, 1}, {4}), f32({1, 4, 1}, {0, 0, 0, 1}), f32({1, 4, 1}, {0, 0, 0, 0}), none, none,
        none, f32({1, 1, 1}, {2})},
       {f32({1, 1, 1, 1}, {1.5}), f32({1, 1, 1}, {1.5}), f32({1, 1, 1}, {3})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("rnn", {{"activations", std::vector<std::string>{"Sine"}}}, {x, w, r}).refusal ==
          "the activation `Sine` is not known");
}

TEST_CASE("sums by label") {
  const Tensor a = f32({2, 2}, {1, 2, 3, 4});
  const auto equation = [](const char* text) {
    return Attributes{{"equation", std::string(text)}};
  };
  const OpCase cases[] = {
      {"einsum", equation("ij,jk->ik"), {a, a}, {f32({2, 2}, {7, 10, 15, 22})}},
      {"einsum", equation("ii"), {a}, {f32({}, {5})}},
      {"einsum", equation("...i->..."), {a}, {f32({2}, {3, 7})}},
      {"einsum", equation("ba"), {a}, {f32({2, 2}, {1, 3, 2, 4})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("einsum", equation("i,j->k"), {f32({1}, {1}), f32({1}, {1})}).refusal ==
          "a label of the result stands in no term");
}

TEST_CASE("transforms, losses and determinants") {
  const OpCase cases[] = {
      {"dft",
       {},
       {f32({1, 4, 1}, {1, 2, 3, 4})},
       {f32({1, 4, 2}, {10, 0, -2, 2, -2, 0, -2, -2})},
       1e-7},
      {"dft",
       {{"onesided", int64_t{1}}},
       {f32({1, 4, 1}, {1, 2, 3, 4})},
       {f32({1, 3, 2}, {10, 0, -2, 2, -2, 0})},
       1e-7},
      {"dft",
       {{"inverse", int64_t{1}}, {"onesided", int64_t{1}}},
       {f32({1, 3, 2}, {10, 0, -2, 2, -2, 0})},
       {f32({1, 4, 1}, {1, 2, 3, 4})},
       1e-7},
      {"hann_window", {}, {i64({}, {4})}, {f32({4}, {0, 0.5, 1, 0.5})}, 1e-7},
      {"det", {}, {f32({2, 2}, {0, 2, 3, 4})}, {f32({}, {-6})}},
      {"negative_log_likelihood_loss",
       {{"ignore_index", int64_t{1}}},
       {f32({2, 2}, {-1, -2, -3, -4}), i64({2}, {0, 1})},
       {f32({}, {1})}},
      {"roi_align",
       {},
       {f32({1, 1, 1, 1}, {3}), f32({1, 4}, {NAN, 0, 1, 1}), i64({1}, {0})},
       {f32({1, 1, 1, 1}, {0})}},
      {"roi_align",
       {},
       {f32({1, 1, 0, 0}, {}), f32({1, 4}, {0, 0, 1, 1}), i64({1}, {0})},
       {f32({1, 1, 1, 1}, {0})}},
      {"max_roi_pool",
       {{"pooled_shape", Ints{1, 1}}},
       {f32({1, 1, 1, 1}, {3}), f32({1, 5}, {0, NAN, 0, 1, 1})},
       {f32({1, 1, 1, 1}, {0})}},
      {"reverse_sequence", {}, {f32({3, 1}, {1, 2, 3}), i64({1}, {2})}, {f32({3, 1}, {2, 1, 3})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("random numbers depend on the seed alone") {
  const auto sample = [](double seed) {
    const Outcome outcome = run("random_uniform", {{"seed", seed}, {"shape", Ints{1000}}}, {});
    REQUIRE(outcome.refusal == "");
    return outcome.results[0];
  };
  require_equal(sample(1), sample(1));
  REQUIRE(sample(1).hash() != sample(2).hash());
  double sum = 0;
  for (double value : sample(3).to_doubles()) {
    REQUIRE((value >= 0 && value < 1));
    sum += value;
  }
  REQUIRE(std::fabs(sum / 1000 - 0.5) < 0.05);
}

TEST_CASE("text") {
  const OpCase cases[] = {
      {"string_concat", {}, {text({2}, {"a", "b"}), text({}, {"x"})}, {text({2}, {"ax", "bx"})}},
      {"string_split",
       {{"delimiter", std::string(",")}, {"maxsplit", int64_t{1}}},
       {text({2}, {"a,b,c", "d"})},
       {text({2, 2}, {"a", "b,c", "d", ""}), i64({2}, {2, 1})}},
      {"string_split", {}, {text({1}, {" a  b "})}, {text({1, 2}, {"a", "b"}), i64({1}, {2})}},
      {"string_normalizer",
       {{"case_change_action", std::string("UPPER")},
        {"stopwords", std::vector<std::string>{"Monday"}}},
       {text({2}, {"monday", "été"})},
       {text({1}, {"ÉTÉ"})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("boxes, grids and windows put back") {
  const std::optional<Tensor> none;
  const OpCase cases[] = {
      {"non_max_suppression",
       {},
       {f32({1, 3, 4}, {0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 5, 1, 6}), f32({1, 1, 3}, {0.5, 0.9, 0.8}),
        i64({}, {3}), f32({}, {0.5})},
       {i64({2, 3}, {0, 0, 1, 0, 0, 2})}},
      {"grid_sample",
       {{"align_corners", int64_t{1}}},
       {f32({1, 1, 2, 2}, {1, 2, 3, 4}), f32({1, 1, 2, 2}, {0, 0, 1, -1})},
       {f32({1, 1, 1, 2}, {2.5, 2})}},
      {"affine_grid",
       {{"align_corners", int64_t{1}}},
       {f32({1, 2, 3}, {1, 0, 0, 0, 1, 5}), i64({4}, {1, 1, 1, 2})},
       {f32({1, 1, 2, 2}, {-1, 5, 1, 5})}},
      {"max_unpool",
       {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}},
       {f32({1, 1, 2}, {5, 7}), i64({1, 1, 2}, {1, 2})},
       {f32({1, 1, 4}, {0, 5, 7, 0})}},
      {"center_crop_pad", {}, {f32({3}, {1, 2, 3}), i64({1}, {2})}, {f32({2}, {1, 2})}},
      {"center_crop_pad", {}, {f32({2}, {1, 2}), i64({1}, {5})}, {f32({5}, {0, 1, 2, 0, 0})}},
      {"col2im",
       {},
       {f32({1, 2, 2}, {1, 2, 3, 4}), i64({1}, {3}), i64({1}, {2})},
       {f32({1, 1, 3}, {1, 5, 4})}},
      {"roi_align",
       {{"coordinate_transformation_mode", std::string("output_half_pixel")},
        {"sampling_ratio", int64_t{1}}},
       {f32({1, 1, 2, 2}, {1, 2, 3, 4}), f32({1, 4}, {0, 0, 1, 1}), i64({1}, {0})},
       {f32({1, 1, 1, 1}, {2.5})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("attention caps scores before it masks them") {
  const Tensor q = f32({1, 1, 1, 1}, {1}), k = f32({1, 1, 2, 1}, {1, 3}),
               v = f32({1, 1, 2, 1}, {1, 5});
  const auto attend = [&](int64_t mode, const Tensor& mask, double y,
                          const std::vector<double>& scores) {
    require_case({"attention",
                  {{"softcap", 1.0}, {"scale", 1.0}, {"qk_matmul_output_mode", mode}},
                  {q, k, v, mask},
                  {f32({1, 1, 1, 1}, {y}), k, v, f32({1, 1, 1, 2}, scores)},
                  1e-6});
  };
  const Tensor mask = f32({1, 2}, {0, -1});
  attend(0, mask, 2.26891271, {1, 3});
  attend(1, mask, 2.26891271, {0.76159416, 0.99505475});
  attend(2, mask, 2.26891271, {0.76159416, -0.00494525});
  attend(3, mask, 2.26891271, {0.68277182, 0.31722818});
  attend(3, f32({1, 2}, {0, -kInf}), 1, {1, 0});
  attend(3, boolean({1, 2}, {0, 1}), 5, {0, 1});
}
