// TIFF, through libtiff, from memory.
#include <algorithm>
#include <cstring>

#include "runtime/images/codecs.h"

#ifdef NEURONC_HAS_TIFF
#include <tiffio.h>
#endif

namespace neuronc::images {

#ifdef NEURONC_HAS_TIFF

namespace {

struct Stream {
  Bytes bytes;
  uint64_t place = 0;
};

tmsize_t read_some(thandle_t handle, void* to, tmsize_t size) {
  auto& stream = *static_cast<Stream*>(handle);
  if (stream.place >= stream.bytes.size() || size <= 0) return 0;
  const uint64_t count =
      std::min<uint64_t>(static_cast<uint64_t>(size), stream.bytes.size() - stream.place);
  std::memcpy(to, stream.bytes.data() + stream.place, count);
  stream.place += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t write_nothing(thandle_t, void*, tmsize_t) { return 0; }

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  auto& stream = *static_cast<Stream*>(handle);
  if (whence == SEEK_CUR) offset += stream.place;
  if (whence == SEEK_END) offset += stream.bytes.size();
  stream.place = offset;
  return offset;
}

int close_nothing(thandle_t) { return 0; }
toff_t size_of(thandle_t handle) { return static_cast<Stream*>(handle)->bytes.size(); }

bool read_pixels(TIFF* file, Pixels& pixels) {
  uint32_t width = 0, height = 0;
  TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file, TIFFTAG_IMAGELENGTH, &height);
  if (!pixels.resize(height, width)) return false;
  std::vector<uint32_t> packed(size_t{width} * height);
  if (TIFFReadRGBAImageOriented(file, width, height, packed.data(), ORIENTATION_TOPLEFT, 1) == 0) {
    return false;
  }
  for (size_t i = 0; i < packed.size(); ++i) {
    pixels.rgb[3 * i] = static_cast<uint8_t>(TIFFGetR(packed[i]));
    pixels.rgb[3 * i + 1] = static_cast<uint8_t>(TIFFGetG(packed[i]));
    pixels.rgb[3 * i + 2] = static_cast<uint8_t>(TIFFGetB(packed[i]));
  }
  return true;
}

}  // namespace

bool decode_tiff(Bytes bytes, Pixels& pixels) {
  // The library's messages go to stderr, and there is no way to take them but for the process.
  static const bool kIsSilent = [] {
    TIFFSetErrorHandler(nullptr);
    TIFFSetWarningHandler(nullptr);
    return true;
  }();
  Stream stream{bytes};
  TIFF* const file = kIsSilent ? TIFFClientOpen("memory", "rm", &stream, read_some, write_nothing,
                                                seek, close_nothing, size_of, nullptr, nullptr)
                               : nullptr;
  if (file == nullptr) return false;
  const bool is_decoded = read_pixels(file, pixels);
  TIFFClose(file);
  return is_decoded;
}

#else

bool decode_tiff(Bytes, Pixels&) { return false; }

#endif

}  // namespace neuronc::images
