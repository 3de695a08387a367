// A file that appears under its name complete, or not at all.
//
// The bytes go to a file without a name where the file system has such, so that a process that is
// killed leaves nothing; elsewhere to a temporary name beside the final one. `commit` puts it in
// place of what stood there and keeps that file's permissions. A symbolic link is followed. What is
// no regular file (a device, a pipe) is never replaced: it is written to, in one go, at `commit`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuronc {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // False once anything has failed; `error` says what did first.
  bool append(std::span<const std::byte> bytes);
  bool overwrite(uint64_t offset_bytes, std::span<const std::byte> bytes);
  bool commit();
  std::string error() const;
  // A device or a pipe.
  bool is_special() const { return is_special_; }

 private:
  void open_target();
  void open_draft();
  bool give_name();
  bool flush();
  bool write_all(int fd, std::span<const std::byte> bytes);
  bool note_error();

  std::string path_;       // of the file itself, links followed
  std::string temporary_;  // empty: the draft has no name
  int fd_ = -1;
  bool is_special_ = false;  // everything stays in `buffer_` until `commit`
  int errno_ = 0;
  std::vector<std::byte> buffer_;
};

// Whether both paths lead to one file, or would once they are written.
bool is_same_file(const std::string& a, const std::string& b);

// What keeps a file from being written there, as far as it shows before anything is written: the
// system's message, or an empty text.
std::string why_no_output_file(const std::string& path);

// All of it at once. Returns the system's message, or an empty text.
std::string write_output_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace neuronc
