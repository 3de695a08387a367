// Publishes what this process does for `neuron-top` (usage_segment.h). Nothing here ever fails a model:
// where no memory can be shared, the counters are this process's alone.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "runtime/include/nrt/nrt.h"
#include "runtime/usage_segment.h"

namespace neuronc::runtime {

class Publication {
 public:
  explicit Publication(uint32_t num_visible_cores);
  ~Publication();
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;

  UsageSegment& segment() { return *segment_; }
  // A place for a model; null: all are taken.
  UsageModel* take_place();
  static void describe(UsageModel& place, const nrt_model_info_t& info);
  void give_back(UsageModel& place);

  // When the process ends, whatever its threads still do: the file goes, the memory stays.
  void remove_file();
  // In the child of a fork: the file is its parent's.
  void abandon();

 private:
  static void* map(int fd);
  void create();
  // 0, or the number of the error.
  int create_in(const std::string& folder);
  void fill(uint32_t num_visible);

  std::mutex mutex_;
  int fd_ = -1;
  int32_t pid_ = 0;
  std::string path_;  // empty: no file
  UsageSegment* segment_ = nullptr;
};

// A loaded model's counters, published while it lives; `publication` may be null.
class PublishedModel {
 public:
  explicit PublishedModel(std::shared_ptr<Publication> publication);
  ~PublishedModel();
  PublishedModel(const PublishedModel&) = delete;
  PublishedModel& operator=(const PublishedModel&) = delete;

  UsageModel& counters() { return *place_; }
  void describe(const nrt_model_info_t& info) { Publication::describe(*place_, info); }
  // Of the process.
  void show_tensor_bytes(uint64_t bytes) {
    if (publication_ == nullptr) return;
    publication_->segment().tensor_bytes.store(bytes, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<Publication> publication_;
  UsageModel own_;
  UsageModel* place_ = &own_;
};

}  // namespace neuronc::runtime
