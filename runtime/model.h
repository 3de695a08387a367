// A loaded model: the NEFF, its code and plan, and the executor on the cores it was given.
#pragma once

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
  // Loads the best variant for this CPU onto cores; `cores` outlives the model.
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
  Executor& executor() { return *executor_; }
  nrt_model_info_t info() const;

 private:
  Model(std::shared_ptr<const NeffImage> image, Cores& cores)
      : image_(std::move(image)), cores_(cores) {}
  Result<Done> load_code();
  Result<Done> make_evaluator();

  std::shared_ptr<const NeffImage> image_;
  Cores& cores_;
  std::vector<Core*> assigned_;
  std::string isa_;
  plan::Plan plan_;
  std::unique_ptr<CodeImage> code_;
  std::unique_ptr<HostEvaluator> evaluator_;
  std::unique_ptr<KernelChecker> checker_;  // with NEURON_RT_CHECK=1
  std::unique_ptr<Executor> executor_;
};

}  // namespace neuronc::runtime
