// JPEG, through libjpeg.
#include <csetjmp>
#include <cstdio>

#include "runtime/images/codecs.h"

#ifdef NEURONC_HAS_JPEG
#include <jerror.h>
#include <jpeglib.h>
#endif

namespace neuronc::images {

#ifdef NEURONC_HAS_JPEG

namespace {

struct Errors {
  jpeg_error_mgr base;
  std::jmp_buf way_out;
};

void leave(j_common_ptr decoder) {
  std::longjmp(reinterpret_cast<Errors*>(decoder->err)->way_out, 1);
}

// A file that ends early is damaged, though the library would fill it up.
void note(j_common_ptr decoder, int level) {
  if (level < 0 && decoder->err->msg_code == JWRN_JPEG_EOF) leave(decoder);
}

void print_nothing(j_common_ptr) {}

// Nothing with a destructor lives here: an error jumps out of it.
bool read_rows(jpeg_decompress_struct& decoder, Errors& errors, Bytes bytes, Pixels& pixels) {
  if (setjmp(errors.way_out) != 0) return false;
  jpeg_mem_src(&decoder, bytes.data(), bytes.size());
  if (jpeg_read_header(&decoder, TRUE) != JPEG_HEADER_OK) return false;
  if (decoder.num_components != 1 && decoder.num_components != 3) return false;
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  if (!pixels.resize(decoder.output_height, decoder.output_width)) return false;
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = pixels.rgb.data() + size_t{decoder.output_scanline} * decoder.output_width * 3;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  return true;
}

}  // namespace

bool decode_jpeg(Bytes bytes, Pixels& pixels) {
  jpeg_decompress_struct decoder{};
  Errors errors{};
  decoder.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = leave;
  errors.base.emit_message = note;
  errors.base.output_message = print_nothing;
  jpeg_create_decompress(&decoder);
  const bool is_decoded = read_rows(decoder, errors, bytes, pixels);
  jpeg_destroy_decompress(&decoder);
  return is_decoded;
}

#else

bool decode_jpeg(Bytes, Pixels&) { return false; }

#endif

}  // namespace neuronc::images
