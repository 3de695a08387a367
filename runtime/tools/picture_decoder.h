// Decoding of picture files, kept apart so that one file alone compiles the decoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace neuronc::tools {

// The pixels, interleaved; empty with `error` set on failure. `num_channels` is 1 (gray) or 3.
std::vector<uint8_t> decode_picture(const std::string& path, int num_channels, int& height,
                                    int& width, std::string& error);

}  // namespace neuronc::tools
