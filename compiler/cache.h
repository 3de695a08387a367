// Results of compiles kept in a folder, by what they are made of: the model with its external data,
// every option that shapes the result, and the compiler itself.
//
// An entry is one file, KEY.entry: magic, sizes, a hash, the result's facts as JSON, the NEFF. It
// appears complete or not at all, so that jobs may share a folder; what is damaged counts as absent.
// Nothing that goes wrong here is an error of the compile: the model is compiled once more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compiler/driver.h"
#include "compiler/include/neuronc/compiler.h"

namespace neuronc {

// The key of an imported model; empty: the options ask for no cache, or for text along the way.
std::string cache_key(const Compilation& compilation, const CompileOptions& options);

struct CacheEntry {
  std::string facts_json;
  std::vector<std::byte> neff;
};
// No value: there is no such entry. A hit makes the entry the youngest.
std::optional<CacheEntry> read_cache(const std::string& dir, const std::string& key);

// Keeps an entry, and removes the oldest ones while all together are larger than `limit_bytes`.
// Gives why it could not be kept; empty: it was.
std::string write_cache(const std::string& dir, const std::string& key, const CacheEntry& entry,
                        int64_t limit_bytes);

// Takes a result with its messages from the cache. False: there is none.
bool take_cached(Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult& result);
// Keeps a result that was compiled, with its messages; where that fails, one more of them says why.
void keep_cached(const Compilation& compilation, const CompileOptions& options,
                 Diagnostics& diagnostics, CompileResult& result);

}  // namespace neuronc
