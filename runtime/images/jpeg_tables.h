// What must hold of a JPEG before the single-file decoder sees it: it fills tables of 256 codes with
// as many as a file says. Used by the image pack and by the tools.
#pragma once

#include <cstdint>
#include <span>

namespace neuronc::images {

// Whether nothing in `bytes` that a decoder could take for Huffman tables has more than 256 codes.
// Every marker of such tables counts, wherever it stands: decoders skip what they do not know in
// ways of their own.
bool has_sound_jpeg_tables(std::span<const uint8_t> bytes);

}  // namespace neuronc::images
