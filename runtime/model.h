// A loaded model: the NEFF, its code and plan, and the executor on the cores it was given.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "runtime/code_image.h"
#include "runtime/cores.h"
#include "runtime/executor.h"
#include "runtime/neff_reader.h"
#include "runtime/numerics.h"

namespace neuronc::runtime {

class Model {
 public:
  // Loads the best variant for this CPU onto cores; `cores` outlives the model. On twice as many as
  // the plan has, or more, several groups of cores each run requests of their own.
  // Errors: those of reading, choose_target, code and plan, Cores::assign and Executor::create.
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const NeffImage> image, Cores& cores,
                                             int32_t start_core, int32_t num_cores,
                                             NumericsCheck numerics = NumericsCheck::none);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const plan::Plan& plan() const { return plan_; }
  const NeffImage& image() const { return *image_; }
  const std::string& isa() const { return isa_; }
  // Of the group of cores that has the fewest requests; `choose_executor` takes turns among equals.
  Executor& choose_executor();
  // Requests that come from now on are recorded there; null: no longer.
  void set_profile(const std::shared_ptr<Profile>& profile);
  // By group, the core of each of the plan's.
  std::vector<std::vector<uint32_t>> core_ids() const;
  // Whether a request does not end on one of them.
  bool is_stuck() const;
  nrt_model_info_t info() const;
  PublishedModel& published() { return published_; }

 private:
  Model(std::shared_ptr<const NeffImage> image, Cores& cores)
      : image_(std::move(image)), cores_(cores), published_(cores.publication()) {}
  Result<Done> load_code();
  uint32_t default_groups(int32_t start_core, uint32_t per_group) const;
  Result<Done> add_group(size_t first, uint32_t needed);

  std::shared_ptr<const NeffImage> image_;
  Cores& cores_;
  std::vector<Core*> assigned_;
  std::string isa_;
  plan::Plan plan_;
  std::unique_ptr<CodeImage> code_;
  PublishedModel published_;
  std::unique_ptr<KernelChecker> checker_;  // with NEURON_RT_CHECK=1
  // Groups of cores that run requests side by side over the same code and weights.
  struct Group {
    std::unique_ptr<HostEvaluator> evaluator;
    std::unique_ptr<Executor> executor;
  };
  std::vector<Group> groups_;
  std::atomic<uint32_t> next_group_{0};
};

}  // namespace neuronc::runtime
