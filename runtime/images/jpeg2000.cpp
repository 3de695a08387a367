// JPEG 2000, through OpenJPEG, from memory: one component of gray, or three of red, green and blue.
#include <algorithm>
#include <cstring>

#include "runtime/images/codecs.h"

#ifdef NEURONC_HAS_JPEG2000
#include <openjpeg.h>
#endif

namespace neuronc::images {

#ifdef NEURONC_HAS_JPEG2000

namespace {

struct Source {
  Bytes bytes;
  size_t place = 0;
};

OPJ_SIZE_T read_some(void* to, OPJ_SIZE_T size, void* data) {
  auto& source = *static_cast<Source*>(data);
  if (source.place >= source.bytes.size()) return static_cast<OPJ_SIZE_T>(-1);
  const size_t count = std::min<size_t>(size, source.bytes.size() - source.place);
  std::memcpy(to, source.bytes.data() + source.place, count);
  source.place += count;
  return count;
}

OPJ_OFF_T skip(OPJ_OFF_T count, void* data) {
  auto& source = *static_cast<Source*>(data);
  if (count < 0 || static_cast<uint64_t>(count) > source.bytes.size() - source.place) return -1;
  source.place += static_cast<size_t>(count);
  return count;
}

OPJ_BOOL seek(OPJ_OFF_T place, void* data) {
  auto& source = *static_cast<Source*>(data);
  if (place < 0 || static_cast<uint64_t>(place) > source.bytes.size()) return OPJ_FALSE;
  source.place = static_cast<size_t>(place);
  return OPJ_TRUE;
}

// A sample of any width and sign as eight bits.
uint8_t to_byte(int value, const opj_image_comp_t& component) {
  const int precision = static_cast<int>(component.prec);
  int64_t sample = value;
  if (component.sgnd != 0) sample += int64_t{1} << (precision - 1);
  sample = precision > 8 ? sample >> (precision - 8) : sample << (8 - precision);
  return static_cast<uint8_t>(std::clamp<int64_t>(sample, 0, 255));
}

bool copy_pixels(const opj_image_t& image, Pixels& pixels) {
  if (image.color_space == OPJ_CLRSPC_SYCC || image.color_space == OPJ_CLRSPC_CMYK) return false;
  const uint32_t count = image.numcomps >= 3 ? 3 : 1;
  const uint32_t width = image.comps[0].w, height = image.comps[0].h;
  for (uint32_t c = 0; c < count; ++c) {
    const opj_image_comp_t& component = image.comps[c];
    const bool fits = component.w == width && component.h == height && component.data != nullptr &&
                      component.prec >= 1 && component.prec <= 31;
    if (!fits) return false;
  }
  if (!pixels.resize(height, width)) return false;
  for (size_t i = 0; i < size_t{width} * height; ++i) {
    for (uint32_t c = 0; c < 3; ++c) {
      const opj_image_comp_t& component = image.comps[count == 3 ? c : 0];
      pixels.rgb[3 * i + c] = to_byte(component.data[i], component);
    }
  }
  return true;
}

bool decode(opj_codec_t* codec, opj_stream_t* stream, Pixels& pixels) {
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  if (opj_setup_decoder(codec, &parameters) == OPJ_FALSE) return false;
  opj_image_t* image = nullptr;
  bool is_decoded = opj_read_header(stream, codec, &image) != OPJ_FALSE && image->numcomps > 0;
  // The extents are known now, and the memory for the samples is not yet taken.
  is_decoded =
      is_decoded && Pixels().resize(int64_t{image->y1} - image->y0, int64_t{image->x1} - image->x0);
  is_decoded = is_decoded && opj_decode(codec, stream, image) != OPJ_FALSE &&
               opj_end_decompress(codec, stream) != OPJ_FALSE && copy_pixels(*image, pixels);
  opj_image_destroy(image);
  return is_decoded;
}

}  // namespace

bool decode_jpeg2000(Bytes bytes, Pixels& pixels) {
  const bool is_bare = bytes[0] == 0xff;  // a codestream without boxes around it
  opj_codec_t* const codec = opj_create_decompress(is_bare ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
  opj_stream_t* const stream = opj_stream_default_create(OPJ_TRUE);
  Source source{bytes};
  bool is_decoded = false;
  if (codec != nullptr && stream != nullptr) {
    opj_stream_set_read_function(stream, read_some);
    opj_stream_set_skip_function(stream, skip);
    opj_stream_set_seek_function(stream, seek);
    opj_stream_set_user_data(stream, &source, nullptr);
    opj_stream_set_user_data_length(stream, bytes.size());
    is_decoded = decode(codec, stream, pixels);
  }
  opj_stream_destroy(stream);
  opj_destroy_codec(codec);
  return is_decoded;
}

#else

bool decode_jpeg2000(Bytes, Pixels&) { return false; }

#endif

}  // namespace neuronc::images
