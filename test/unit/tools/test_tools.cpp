// Files of tensors in both forms, damaged ones included, and pictures: resizing is checked against
// values computed by hand and, where the model files are there, against a reference input.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "runtime/tools/image.h"
#include "runtime/tools/run_inputs.h"
#include "runtime/tools/tensor_file.h"

using namespace neuronc;
using namespace neuronc::tools;

namespace {

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto* data = reinterpret_cast<const std::byte*>(values.data());
  return {data, data + values.size() * sizeof(T)};
}

std::vector<std::byte> bytes_of_text(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

}  // namespace

TEST_CASE(".npy round-trips") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> shape = {2, 3};
  const auto npy = to_npy(DType::f32, shape, bytes_of(values));
  CHECK(npy.size() % 64 == 24);
  const auto tensor = parse_npy(npy);
  REQUIRE(tensor);
  CHECK(tensor->dtype == DType::f32);
  CHECK(tensor->shape == shape);
  CHECK(tensor->bytes == bytes_of(values));
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{}, {1}, {0, 4}, {2, 0, 4}}) {
    int64_t count = 1;
    for (int64_t dim : dims) count *= dim;
    const auto again =
        parse_npy(to_npy(DType::i64, dims, std::vector<std::byte>(static_cast<size_t>(count) * 8)));
    REQUIRE(again);
    CHECK(again->shape == dims);
  }
  CHECK(parse_npy(to_npy(DType::bf16, {}, std::vector<std::byte>(2)))->dtype == DType::u16);
}

TEST_CASE(".npy files in Fortran order are read as they are meant") {
  std::string text;
  const std::vector<uint8_t> columns = {1, 4, 2, 5, 3, 6};
  for (std::byte byte : to_npy(DType::u8, std::vector<int64_t>{2, 3}, bytes_of(columns))) {
    text += static_cast<char>(byte);
  }
  text.replace(text.find("False"), 5, "True ");
  const auto tensor = parse_npy(bytes_of_text(text));
  REQUIRE(tensor);
  CHECK(tensor->bytes == bytes_of(std::vector<uint8_t>{1, 2, 3, 4, 5, 6}));
}

TEST_CASE("damaged .npy and .pb files are refused or read, and never crash") {
  const auto npy = to_npy(DType::f32, std::vector<int64_t>{4}, std::vector<std::byte>(16));
  // dims 2, 1; type f32; raw data of 8 bytes.
  const auto proto =
      bytes_of_text({"\x08\x02\x08\x01\x10\x01\x4a\x08"
                     "abcdefgh",
                     16});
  const auto good = parse_tensor_proto(proto);
  REQUIRE(good);
  CHECK(good->shape == std::vector<int64_t>{2, 1});
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    auto damaged = round % 2 == 0 ? npy : proto;
    if (round % 5 == 0) damaged.resize(random() % damaged.size());
    if (!damaged.empty()) damaged[random() % damaged.size()] = std::byte(random());
    round % 2 == 0 ? parse_npy(damaged) : parse_tensor_proto(damaged);
  }
  for (size_t size = 0; size < npy.size(); ++size) {
    CHECK_FALSE(parse_npy(std::span(npy).first(size)));
  }
}

TEST_CASE("ONNX tensors store numbers in three ways") {
  // Packed int64_data {5, -1}; dims packed.
  const auto ints = parse_tensor_proto(bytes_of_text(
      {"\x0a\x01\x02\x10\x07\x3a\x0b\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 18}));
  REQUIRE(ints);
  CHECK(ints->dtype == DType::i64);
  CHECK(ints->bytes == bytes_of(std::vector<int64_t>{5, -1}));
  // bool in int32_data, unpacked.
  const auto booleans = parse_tensor_proto(bytes_of_text({"\x08\x02\x10\x09\x28\x01\x28\x00", 8}));
  REQUIRE(booleans);
  CHECK(booleans->bytes == bytes_of(std::vector<uint8_t>{1, 0}));
  // strings
  const auto strings =
      parse_tensor_proto(bytes_of_text({"\x08\x02\x10\x08\x32\x02hi\x32\x00", 10}));
  REQUIRE(strings);
  CHECK(strings->bytes == bytes_of_text({"hi\0\0", 4}));
  // i4[3] of two bytes: 1, -2 and 7
  const auto nibbles = parse_tensor_proto(bytes_of_text({"\x08\x03\x10\x16\x4a\x02\xe1\x07", 8}));
  REQUIRE(nibbles);
  CHECK(nibbles->dtype == DType::i4);
  CHECK(nibbles->bytes == bytes_of(std::vector<int8_t>{1, -2, 7}));
  CHECK_FALSE(parse_tensor_proto(bytes_of_text({"\x08\x05\x10\x16\x4a\x02\xe1\x07", 8})));
  // a size that is not that of the dims
  CHECK_FALSE(parse_tensor_proto(bytes_of_text({"\x08\x03\x10\x09\x28\x01\x28\x00", 8})));
}

TEST_CASE("ONNX sequences and optionals") {
  // Two tensors bool[1] in field 3, the name in field 1.
  const std::string tensor("\x1a\x06\x08\x01\x10\x09\x28\x01", 8);
  const auto sequence = parse_sequence_proto(bytes_of_text("\x0a\x01s" + tensor + tensor));
  REQUIRE(sequence);
  CHECK(sequence->elements.size() == 2);
  const auto optional = parse_optional_proto(bytes_of_text(tensor));
  REQUIRE(optional);
  CHECK((optional->has_value && optional->elements.size() == 1));
  CHECK_FALSE(parse_optional_proto({})->has_value);
  // A sequence in field 5.
  const auto held = parse_optional_proto(bytes_of_text("\x2a\x08" + tensor));
  REQUIRE(held);
  CHECK((held->has_value && held->elements.size() == 1));
  CHECK_FALSE(parse_sequence_proto(bytes_of_text(tensor.substr(0, 5))));
}

TEST_CASE("resizing averages when it shrinks and interpolates when it grows") {
  const Picture line{1, 4, 1, {0, 100, 200, 40}};
  // Triangles of radius 2 around 1 and 3: weights 0.75 0.75 0.25 of 1.75, and mirrored.
  CHECK(resize(line, 1, 2).pixels == std::vector<uint8_t>{71, 117});
  const Picture two{1, 2, 1, {0, 100}};
  CHECK(resize(two, 1, 4).pixels == std::vector<uint8_t>{0, 25, 75, 100});
  const Picture flat{3, 5, 3, std::vector<uint8_t>(45, 77)};
  CHECK(resize(flat, 7, 2).pixels == std::vector<uint8_t>(42, 77));
  const Picture numbered{3, 3, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8}};
  CHECK(crop_centre(numbered, 1, 1).pixels == std::vector<uint8_t>{4});
}

TEST_CASE("a picture becomes the reference input of its model") {
  const char* other_place = std::getenv("NEURONC_SHARED");
  const std::string shared = other_place == nullptr ? NEURONC_SHARED : other_place;
  const std::string folder = shared + "/models/squeezenet1.1_fp32";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: " << folder << " is not there");
    return;
  }
  ImageOptions options;
  options.resize = "short:256";
  options.crop = "224x224";
  options.channels = "bgr";
  options.mean = {104, 117, 123};
  const auto image = load_image(folder + "/kitten.jpg", options);
  REQUIRE(image);
  CHECK(image->dims == std::vector<int64_t>{3, 224, 224});
  const auto reference = read_tensor(folder + "/test_data_set_1/input_0.pb");
  REQUIRE(reference);
  REQUIRE(reference->bytes.size() == image->values.size() * sizeof(float));
  double sum = 0;
  for (size_t i = 0; i < image->values.size(); ++i) {
    sum += std::fabs(load_as_f64(DType::f32, reference->bytes.data(), static_cast<int64_t>(i)) -
                     image->values[i]);
  }
  // Decoders round differently; pixels differ by less than one on average.
  CHECK(sum / static_cast<double>(image->values.size()) < 1.0);
}

TEST_CASE("pictures that cannot be read say why") {
  CHECK(load_image("/nonexistent.jpg", {}).error().code == kExitError);
  ImageOptions options;
  options.resize = "short:x";
  const std::string path = std::filesystem::temp_directory_path() / "neuronc-tools-test.ppm";
  std::ofstream(path) << "P6 1 1 255 abc";
  CHECK(load_image(path, options).error().code == kExitUsage);
  options.resize = "4x2";
  options.crop = "5x1";
  CHECK(load_image(path, options).error().code == kExitUsage);
  options.crop = "";
  options.mean = {1, 2};
  CHECK(load_image(path, options).error().code == kExitUsage);
  options.mean = {1};
  const auto image = load_image(path, options);
  REQUIRE(image);
  CHECK(image->dims == std::vector<int64_t>{3, 4, 2});
  CHECK(image->values[0] == 'a' - 1);
  // 16 bits, made gray: 0xff00 of 0xffff is 254; and a file that ends early.
  ImageOptions gray;
  gray.channels = "gray";
  std::ofstream(path, std::ios::binary) << std::string("P6 1 1 65535 \xff\0\xff\0\xff\0", 19);
  const auto wide = load_image(path, gray);
  REQUIRE(wide);
  CHECK(wide->values == std::vector<float>{254});
  std::ofstream(path) << "P6 2 2 255 abc";
  CHECK(load_image(path, gray).error().code == kExitError);
  std::filesystem::remove(path);
}

TEST_CASE("Huffman tables of more codes than a decoder has room for are refused") {
  const std::string path = std::filesystem::temp_directory_path() / "neuronc-tools-test.jpg";
  const std::string tables = std::string("\xff\xd8\xff\xc4\x01\x00", 6);
  const std::string many(16, '\xff');
  // Whole; cut in the middle of the counts; behind bytes that decoders skip; the second of two.
  const std::string one_code = std::string("\0\1", 2) + std::string(15, '\0') + "v";
  for (const std::string& file :
       {tables + std::string(1, '\0') + many + std::string(5000, 'v'),
        tables + std::string(1, '\0') + many.substr(0, 2),
        "\xff\xd8junk\xff" + tables.substr(2) + std::string(1, '\0') + many,
        "\xff" + tables + std::string(1, '\0') + many,
        tables + one_code + std::string(1, '\x10') + many}) {
    std::ofstream(path, std::ios::binary) << file;
    const auto image = load_image(path, {});
    REQUIRE_FALSE(image);
    CHECK(image.error().code == kExitError);
    CHECK(image.error().message.find("damaged, or not a picture") != std::string::npos);
  }
  std::filesystem::remove(path);
}

TEST_CASE("a picture of a few bytes that asks for gigabytes is refused") {
  const std::string path = std::filesystem::temp_directory_path() / "neuronc-tools-test.gif";
  std::ofstream(path, std::ios::binary) << std::string("GIF89a\0\x20\1\x20\0\0\0", 13);
  const auto image = load_image(path, {});
  REQUIRE_FALSE(image);
  CHECK(image.error().code == kExitError);
  CHECK(image.error().message.find("8192 x 8193 pixels, more than 67108864") != std::string::npos);
  std::filesystem::remove(path);
}

TEST_CASE("the largest elements are listed with their labels") {
  const HostTensor output{DType::f32, {1, 3}, bytes_of(std::vector<float>{0.25f, NAN, 0.5f})};
  CHECK(top_elements(output, 2, {"a", "b", "c"}) ==
        "  1. 0.5        index 2  c\n  2. 0.25       index 0  a\n");
}
