// Brings reader, code and executor together.
#include "runtime/model.h"

#include <algorithm>
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
  const uint32_t per_group = std::max<uint32_t>(needed, 1);
  const uint32_t num_groups = num_cores > 0 ? static_cast<uint32_t>(num_cores) / per_group
                                            : model->default_groups(start_core, per_group);
  NEURONC_ASSIGN(model->assigned_, cores.assign(start_core, num_groups * per_group));
  if (is_set("NEURON_RT_CHECK")) {
    NEURONC_ASSIGN(model->checker_,
                   load_kernel_checker(*model->image_, model->isa_, model->plan_, numerics));
  }
  for (uint32_t i = 0; i < num_groups; ++i) {
    NEURONC_TRY(model->add_group(size_t{i} * per_group, per_group));
  }
  model->published_.describe(model->info());
  return model;
}

// As many as the model was compiled for, or as there is room for.
uint32_t Model::default_groups(int32_t start_core, uint32_t per_group) const {
  uint32_t wanted = 1;
  for (const NeffTarget& target : image_->targets()) {
    if (target.isa == isa_) wanted = target.num_groups;
  }
  const auto start = static_cast<uint32_t>(std::max(start_core, 0));
  const uint32_t room = cores_.num_visible() > start ? cores_.num_visible() - start : 0;
  return std::clamp(room / per_group, uint32_t{1}, wanted);
}

Result<Done> Model::add_group(size_t first, uint32_t count) {
  Group group;
  if (const NeffMemberView* member = image_->find("host.nir")) {
    NEURONC_ASSIGN(group.evaluator, load_host_graph(*image_, *member));
  }
  ExecutorOptions options;
  options.cores = &cores_;
  const auto begin = assigned_.begin() + static_cast<std::ptrdiff_t>(first);
  options.assigned.assign(begin, begin + count);
  options.evaluator = group.evaluator.get();
  options.checker = checker_.get();
  options.usage = &published_.counters();
  options.group = static_cast<uint32_t>(groups_.size());
  const CodeImage& code = *code_;
  NEURONC_ASSIGN(group.executor,
                 Executor::create(
                     plan_, image_->weights().data(),
                     [&code](std::string_view symbol) { return code.find(symbol); }, options));
  groups_.push_back(std::move(group));
  return Done{};
}

Executor& Model::choose_executor() {
  const size_t count = groups_.size();
  if (count == 1) return *groups_[0].executor;
  const size_t start = next_group_.fetch_add(1, std::memory_order_relaxed) % count;
  Executor* best = groups_[start].executor.get();
  for (size_t i = 1; i < count; ++i) {
    Executor& other = *groups_[(start + i) % count].executor;
    if (other.num_requests() < best->num_requests()) best = &other;
  }
  return *best;
}

void Model::set_profile(const std::shared_ptr<Profile>& profile) {
  for (const Group& group : groups_) group.executor->set_profile(profile);
}

std::vector<std::vector<uint32_t>> Model::core_ids() const {
  std::vector<std::vector<uint32_t>> ids(groups_.size());
  for (size_t i = 0; i < assigned_.size(); ++i) {
    ids[i * groups_.size() / assigned_.size()].push_back(assigned_[i]->id());
  }
  return ids;
}

bool Model::is_stuck() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const Group& group) { return group.executor->is_stuck(); });
}

Model::~Model() {
  groups_.clear();
  cores_.release(assigned_);
}

nrt_model_info_t Model::info() const {
  nrt_model_info_t info{};
  const NeffHeader& header = image_->header();
  std::memcpy(info.name, header.name, sizeof(info.name));
  std::memcpy(info.compiler_version, header.compiler_version, sizeof(info.compiler_version));
  uuid_text(header).copy(info.uuid, sizeof(info.uuid) - 1);
  isa_.copy(info.target, sizeof(info.target) - 1);
  info.nc_count = static_cast<uint32_t>(assigned_.size());
  info.first_nc = assigned_.empty() ? 0 : assigned_[0]->id();
  info.code_bytes = code_->size_bytes();
  info.weight_bytes = image_->weights().size();
  for (const Group& group : groups_) info.memory_bytes += group.executor->memory_bytes();
  return info;
}

Result<Done> Model::load_code() {
  const NeffMemberView* member = image_->find(isa_ + "/code.so");
  if (member == nullptr) return fail(NRT_INVALID, "the NEFF has no code for {}", isa_);
  NEURONC_ASSIGN(code_, CodeImage::load(member->bytes));
  if (is_set("NEURON_RT_PERF_MAP")) code_->write_perf_map();
  return Done{};
}

}  // namespace neuronc::runtime
