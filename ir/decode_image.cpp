// Implements decode_image.h.
#include "ir/decode_image.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "ir/image_pack.h"

namespace neuronc {
namespace {

struct Pack {
  NeuroncImageDecode decode = nullptr;
  NeuroncImageFree free = nullptr;
  std::string error;  // if it could not be loaded
};

// Beside the program or library that this code is in, in a folder `lib` next to that, or where the
// system's loader finds it.
Pack load_pack() {
  Pack pack;
  std::vector<std::string> places;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&load_pack), &info) != 0 && info.dli_fname != nullptr) {
    const std::string own = info.dli_fname;
    const size_t slash = own.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : own.substr(0, slash);
    places = {folder + "/", folder + "/../lib/", folder + "/../lib/x86_64-linux-gnu/"};
  }
  places.emplace_back();
  for (const std::string& place : places) {
    void* const library = dlopen((place + kImagePackFile).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      if (const char* error = dlerror(); error != nullptr && pack.error.empty()) pack.error = error;
      continue;
    }
    pack.decode = reinterpret_cast<NeuroncImageDecode>(dlsym(library, kImageDecodeSymbol));
    pack.free = reinterpret_cast<NeuroncImageFree>(dlsym(library, kImageFreeSymbol));
    if (pack.decode != nullptr && pack.free != nullptr) return pack;
    pack.error = "it is of another version";
  }
  return pack;
}

const Pack& image_pack() {
  static const Pack kPack = load_pack();
  return kPack;
}

}  // namespace

OrRefusal<DecodedImage> decode_image(std::span<const uint8_t> bytes) {
  const Pack& pack = image_pack();
  if (pack.decode == nullptr) {
    return refuse(fmt::format("the image pack cannot be loaded: {}", pack.error));
  }
  DecodedImage result;
  NeuroncImage image{};
  if (!pack.decode(bytes.data(), bytes.size(), &image)) return result;
  result.height = image.height;
  result.width = image.width;
  result.rgb.assign(image.rgb, image.rgb + 3 * image.height * image.width);
  pack.free(&image);
  return result;
}

}  // namespace neuronc
