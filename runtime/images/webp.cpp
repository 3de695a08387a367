// WebP, through libwebp.
#include "runtime/images/codecs.h"

#ifdef NEURONC_HAS_WEBP
#include <webp/decode.h>
#endif

namespace neuronc::images {

#ifdef NEURONC_HAS_WEBP

bool decode_webp(Bytes bytes, Pixels& pixels) {
  int width = 0, height = 0;
  if (WebPGetInfo(bytes.data(), bytes.size(), &width, &height) == 0) return false;
  if (!pixels.resize(height, width)) return false;
  return WebPDecodeRGBInto(bytes.data(), bytes.size(), pixels.rgb.data(), pixels.rgb.size(),
                           3 * width) != nullptr;
}

#else

bool decode_webp(Bytes, Pixels&) { return false; }

#endif

}  // namespace neuronc::images
