// What is done with a NEFF that others wrote: its hashes are made right, as an attacker would, and
// everything that the loader reads of it is read. The code is mapped and not run: loading a NEFF
// means trusting its instructions.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "runtime/code_image.h"
#include "runtime/host_graph.h"
#include "runtime/neff_reader.h"

namespace neuronc::fuzz {

inline void reseal(std::vector<std::byte>& neff) {
  NeffHeader header;
  if (neff.size() < sizeof(header)) return;
  std::memcpy(&header, neff.data(), sizeof(header));
  std::memcpy(header.magic, kNeffMagic, sizeof(kNeffMagic));
  header.tar_bytes = neff.size() - sizeof(header);
  const uint64_t begin = std::min<uint64_t>(header.weights_offset_bytes, neff.size());
  const uint64_t size = std::min<uint64_t>(header.weights_bytes, neff.size() - begin);
  const auto store = [](NeffHash& to, XXH128_hash_t hash) { to = {hash.low64, hash.high64}; };
  std::vector<std::byte> rest(neff.begin() + sizeof(header), neff.end());
  if (begin >= sizeof(header)) {
    const auto first = rest.begin() + static_cast<std::ptrdiff_t>(begin - sizeof(header));
    rest.erase(first, first + static_cast<std::ptrdiff_t>(size));
  }
  store(header.metadata_hash, XXH3_128bits(rest.data(), rest.size()));
  store(header.weights_hash, XXH3_128bits(neff.data() + begin, size));
  header.header_hash = 0;
  header.header_hash = XXH3_64bits(&header, sizeof(header));
  std::memcpy(neff.data(), &header, sizeof(header));
}

// False if the file is refused.
inline bool read_all(std::span<const std::byte> neff) {
  using namespace neuronc::runtime;
  const auto image = NeffImage::copy(neff, Verify::all);
  if (!image) return false;
  static_cast<void>(choose_target((*image)->targets(), ""));
  for (const std::string& isa : (*image)->isas()) {
    static_cast<void>((*image)->read_plan(isa));
    static_cast<void>(CodeImage::load((*image)->find(isa + "/code.so")->bytes));
  }
  if (const NeffMemberView* host = (*image)->find("host.nir")) {
    static_cast<void>(load_host_graph(**image, *host));
  }
  return true;
}

}  // namespace neuronc::fuzz
