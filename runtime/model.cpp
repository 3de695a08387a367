// Brings reader, code and executor together.
#include "runtime/model.h"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "runtime/cpu.h"
#include "runtime/host_graph.h"

namespace neuronc::runtime {
namespace {

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string_view(value) != "" && std::string_view(value) != "0";
}

}  // namespace

Result<std::unique_ptr<Model>> Model::load(std::shared_ptr<const NeffImage> image, Cores& cores,
                                           int32_t start_core, int32_t num_cores,
                                           NumericsCheck numerics) {
  std::unique_ptr<Model> model(new Model(std::move(image), cores));
  const char* wanted = std::getenv("NEURON_RT_TARGET");
  NEURONC_ASSIGN(model->isa_,
                 choose_target(model->image_->targets(), wanted == nullptr ? "" : wanted));
  NEURONC_ASSIGN(model->plan_, model->image_->read_plan(model->isa_));
  const uint32_t needed = plan::num_cores(model->plan_);
  if (num_cores > 0 && static_cast<uint32_t>(num_cores) < needed) {
    return fail(NRT_LOAD_NOT_ENOUGH_NC, "the model needs {} NeuronCores, {} were given", needed,
                num_cores);
  }
  NEURONC_TRY(model->load_code());
  NEURONC_TRY(model->make_evaluator());
  NEURONC_ASSIGN(model->assigned_, cores.assign(start_core, needed));
  ExecutorOptions options;
  options.cores = &cores;
  options.assigned = model->assigned_;
  options.evaluator = model->evaluator_.get();
  if (is_set("NEURON_RT_CHECK")) {
    NEURONC_ASSIGN(model->checker_,
                   load_kernel_checker(*model->image_, model->isa_, model->plan_, numerics));
    options.checker = model->checker_.get();
  }
  const CodeImage& code = *model->code_;
  NEURONC_ASSIGN(model->executor_,
                 Executor::create(
                     model->plan_, model->image_->weights().data(),
                     [&code](std::string_view symbol) { return code.find(symbol); }, options));
  return model;
}

Model::~Model() {
  executor_.reset();
  cores_.release(assigned_);
}

nrt_model_info_t Model::info() const {
  nrt_model_info_t info{};
  const NeffHeader& header = image_->header();
  std::memcpy(info.name, header.name, sizeof(info.name));
  std::memcpy(info.compiler_version, header.compiler_version, sizeof(info.compiler_version));
  uuid_text(header).copy(info.uuid, sizeof(info.uuid) - 1);
  isa_.copy(info.target, sizeof(info.target) - 1);
  info.nc_count = plan::num_cores(plan_);
  info.first_nc = assigned_.empty() ? 0 : assigned_[0]->id();
  info.code_bytes = code_->size_bytes();
  info.weight_bytes = image_->weights().size();
  info.memory_bytes = executor_->memory_bytes();
  return info;
}

Result<Done> Model::load_code() {
  const NeffMemberView* member = image_->find(isa_ + "/code.so");
  if (member == nullptr) return fail(NRT_INVALID, "the NEFF has no code for {}", isa_);
  NEURONC_ASSIGN(code_, CodeImage::load(member->bytes));
  if (is_set("NEURON_RT_PERF_MAP")) code_->write_perf_map();
  return Done{};
}

Result<Done> Model::make_evaluator() {
  const NeffMemberView* member = image_->find("host.nir");
  if (member == nullptr) return Done{};
  NEURONC_ASSIGN(evaluator_, load_host_graph(*image_, *member));
  return Done{};
}

}  // namespace neuronc::runtime
