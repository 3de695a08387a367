// Files of inputs: .npy, .pb and pictures.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "runtime/tools/image.h"
#include "runtime/tools/tensor_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuronc::tools;
  const auto bytes = std::as_bytes(std::span(data, size));
  static_cast<void>(parse_npy(bytes));
  static_cast<void>(parse_tensor_proto(bytes));
  static_cast<void>(parse_sequence_proto(bytes));
  static_cast<void>(parse_optional_proto(bytes));
  const int file = memfd_create("picture", MFD_CLOEXEC);
  if (file < 0 || write(file, data, size) != static_cast<ssize_t>(size)) return 0;
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  static_cast<void>(read_picture(path, 3));
  static_cast<void>(read_picture(path, 1));
  close(file);
  return 0;
}
