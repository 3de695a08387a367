// Parses the text form of plans; the grammar stands in text.h.
//
// The first error is kept and stops everything: `fail` makes each later token the end of the text.
#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>

#include "ir/plan/text.h"

namespace neuronc::plan {
namespace {

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '$';
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  const std::string& error() const { return error_; }
  bool failed() const { return !error_.empty(); }

  void fail(std::string_view what) {
    if (error_.empty()) error_ = fmt::format("line {}: {}", line_, what);
    position_ = text_.size();
  }

  bool at_end() {
    skip_space();
    return position_ == text_.size();
  }

  bool at_digit() {
    skip_space();
    return position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9';
  }

  // Takes `token` if it comes next.
  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(position_, token.size()) != token) return false;
    const size_t end = position_ + token.size();
    const bool is_word = token.back() != '.' && is_word_char(token.back());
    if (is_word && end < text_.size() && is_word_char(text_[end])) return false;
    position_ = end;
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) fail(fmt::format("expected `{}`", token));
  }

  std::string_view word() {
    skip_space();
    const size_t begin = position_;
    while (position_ < text_.size() && is_word_char(text_[position_])) ++position_;
    if (begin == position_) fail("expected a name");
    return text_.substr(begin, position_ - begin);
  }

  // Letters only: the name of a space in front of its index.
  std::string_view letters() {
    skip_space();
    const size_t begin = position_;
    while (position_ < text_.size() && text_[position_] >= 'a' && text_[position_] <= 'z') {
      ++position_;
    }
    return text_.substr(begin, position_ - begin);
  }

  template <class Integer>
  Integer number() {
    skip_space();
    int base = 10;
    if (text_.substr(position_, 2) == "0x") {
      base = 16;
      position_ += 2;
    }
    Integer value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, errc] = std::from_chars(begin, text_.data() + text_.size(), value, base);
    if (errc != std::errc()) {
      fail("expected a number that fits its place");
      return 0;
    }
    position_ += static_cast<size_t>(end - begin);
    return value;
  }
  uint64_t u64() { return number<uint64_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  int64_t i64() { return number<int64_t>(); }

  std::string quoted() {
    expect("\"");
    std::string result;
    while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\n') {
      char c = text_[position_++];
      if (c == '\\' && position_ < text_.size()) {
        c = text_[position_++];
        if (c == 'x') c = hex_byte();
      }
      result += c;
    }
    if (position_ == text_.size() || text_[position_] != '"') {
      fail("the quoted name does not end");
    } else {
      ++position_;
    }
    return result;
  }

 private:
  void skip_space() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '#') {
        while (position_ < text_.size() && text_[position_] != '\n') ++position_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        if (c == '\n') ++line_;
        ++position_;
      } else {
        return;
      }
    }
  }

  char hex_byte() {
    unsigned value = 0;
    const std::string_view digits = text_.substr(position_, 2);
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || result.ptr != digits.data() + 2) fail("expected two hex digits");
    position_ = std::min(position_ + 2, text_.size());
    return static_cast<char>(value);
  }

  std::string_view text_;
  size_t position_ = 0;
  int64_t line_ = 1;
  std::string error_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : in_(text) {}

  OrRefusal<Plan> parse() {
    in_.expect("plan");
    plan_.model_name = in_.quoted();
    in_.expect("{");
    parse_tables();
    while (in_.accept("lane")) parse_lane();
    in_.expect("}");
    if (!in_.failed() && !in_.at_end()) in_.fail("expected the end of the text");
    if (in_.failed()) return refuse(in_.error());
    return std::move(plan_);
  }

 private:
  void expect_index(size_t index) {
    if (in_.u32() != index) in_.fail(fmt::format("expected the index {}", index));
  }

  DType parse_type(std::vector<int64_t>& dims) {
    const std::string_view word = in_.word();
    const std::optional<DType> dtype = dtype_from_name(word);
    if (!dtype) in_.fail(fmt::format("`{}` is not a dtype", word));
    in_.expect("[");
    if (!in_.accept("]")) {
      do dims.push_back(in_.i64());
      while (in_.accept(","));
      in_.expect("]");
    }
    return dtype.value_or(DType::none);
  }

  void parse_tensor(std::vector<TensorSpec>& list) {
    TensorSpec tensor;
    expect_index(list.size());
    tensor.name = in_.quoted();
    tensor.dtype = parse_type(tensor.dims);
    in_.expect("bytes");
    tensor.size_bytes = in_.u64();
    if (in_.accept("kind")) {
      const std::string_view word = in_.word();
      tensor.kind = kind_from_name(word);
      if (tensor.kind == Type::Kind::none) in_.fail(fmt::format("`{}` is no kind of value", word));
    }
    tensor.is_ranked = !in_.accept("unranked");
    list.push_back(std::move(tensor));
  }

  Hash128 parse_hash() {
    const std::string_view digits = in_.word();
    Hash128 hash;
    if (digits.size() != 32) {
      in_.fail("expected a hash of 32 hex digits");
      return hash;
    }
    const char* data = digits.data();
    const bool is_good = std::from_chars(data, data + 16, hash.high, 16).ptr == data + 16 &&
                         std::from_chars(data + 16, data + 32, hash.low, 16).ptr == data + 32;
    if (!is_good) in_.fail("expected a hash of 32 hex digits");
    return hash;
  }

  void parse_constant() {
    Constant constant;
    expect_index(plan_.constants.size());
    constant.name = in_.quoted();
    in_.expect("bytes");
    constant.size_bytes = in_.u64();
    in_.expect("offset");
    constant.offset_bytes = in_.u64();
    in_.expect("hash");
    constant.hash = parse_hash();
    plan_.constants.push_back(std::move(constant));
  }

  void parse_kernel() {
    Kernel kernel;
    expect_index(plan_.kernels.size());
    in_.expect("@");
    kernel.symbol = in_.word();
    in_.expect("buffers");
    kernel.num_buffers = in_.u32();
    in_.expect("tiles");
    kernel.num_tiles = in_.i64();
    const KernelId id(plan_.kernels.size());
    if (!kernels_.emplace(kernel.symbol, id).second) in_.fail("the kernel is there twice");
    plan_.kernels.push_back(std::move(kernel));
  }

  void parse_channel() {
    Channel channel;
    expect_index(plan_.channels.size());
    channel.name = in_.quoted();
    in_.expect("bytes");
    channel.slot_bytes = in_.u64();
    in_.expect("depth");
    channel.depth = in_.u32();
    in_.expect("lane");
    do channel.producers.push_back(LaneId(in_.u32()));
    while (in_.accept(","));
    in_.expect("->");
    do channel.consumers.push_back(LaneId(in_.u32()));
    while (in_.accept(","));
    plan_.channels.push_back(std::move(channel));
  }

  void parse_team() {
    Team team;
    expect_index(plan_.teams.size());
    in_.expect("lanes");
    team.num_lanes = in_.u32();
    in_.expect("from");
    team.first_lane = LaneId(in_.u32());
    in_.expect("shared");
    team.shared_bytes = in_.u64();
    in_.expect("{");
    while (in_.accept("alloc")) team.allocations.push_back(parse_allocation("epochs"));
    in_.expect("}");
    plan_.teams.push_back(std::move(team));
  }

  void parse_tables() {
    while (!in_.failed()) {
      if (in_.accept("input")) {
        parse_tensor(plan_.inputs);
      } else if (in_.accept("output")) {
        parse_tensor(plan_.outputs);
      } else if (in_.accept("constant")) {
        parse_constant();
      } else if (in_.accept("kernel")) {
        parse_kernel();
      } else if (in_.accept("channel")) {
        parse_channel();
      } else if (in_.accept("team")) {
        parse_team();
      } else if (in_.accept("host_slots")) {
        plan_.num_host_slots = in_.u32();
      } else {
        return;
      }
    }
  }

  void parse_lane() {
    Lane lane;
    expect_index(plan_.lanes.size());
    if (in_.accept("host")) {
      lane.kind = LaneKind::host;
    } else {
      in_.expect("core");
      lane.core = in_.u32();
    }
    in_.expect("arena");
    lane.arena_bytes = in_.u64();
    in_.expect("{");
    while (in_.accept("alloc")) lane.allocations.push_back(parse_allocation("steps"));
    while (in_.accept("block")) {
      expect_index(lane.blocks.size());
      lane.blocks.push_back({parse_steps()});
    }
    in_.expect("}");
    plan_.lanes.push_back(std::move(lane));
  }

  Allocation parse_allocation(std::string_view unit) {
    Allocation allocation;
    allocation.name = in_.quoted();
    allocation.offset_bytes = in_.u64();
    in_.expect(":");
    allocation.size_bytes = in_.u64();
    in_.expect(unit);
    allocation.first_step = in_.u32();
    in_.expect("..");
    allocation.last_step = in_.u32();
    return allocation;
  }

  std::vector<Step> parse_steps() {
    std::vector<Step> steps;
    in_.expect("{");
    while (!in_.failed() && !in_.accept("}")) steps.push_back(parse_step());
    return steps;
  }

  Run parse_run_of_bytes() {
    Run run;
    run.offset_bytes = in_.u64();
    in_.expect(":");
    run.size_bytes = in_.u64();
    if (in_.accept("*")) {
      run.count = in_.u64();
      in_.expect("/");
      run.stride_bytes = in_.u64();
    }
    return run;
  }

  BufferRef parse_ref() {
    BufferRef ref;
    const std::string_view access = in_.letters();
    ref.access = access == "rw" ? Access::read_write : access == "w" ? Access::write : Access::read;
    if (access != "r" && access != "w" && access != "rw") in_.fail("expected `r`, `w` or `rw`");
    static const std::map<std::string_view, Space> kSpaces = {
        {"arena", Space::arena},   {"shared", Space::shared}, {"constant", Space::constant},
        {"input", Space::input},   {"output", Space::output}, {"channel", Space::channel},
        {"slot", Space::host_slot}};
    const std::string_view space = in_.letters();
    const auto it = kSpaces.find(space);
    if (it == kSpaces.end()) {
      in_.fail(fmt::format("`{}` is not a memory space", space));
      return ref;
    }
    ref.space = it->second;
    if (ref.space != Space::arena) ref.index = in_.u32();
    if (ref.space == Space::host_slot) return ref;
    in_.expect("+");
    ref.offset_bytes = in_.u64();
    in_.expect(":");
    ref.size_bytes = in_.u64();
    if (in_.accept("at")) {
      do ref.touched.push_back(parse_run_of_bytes());
      while (in_.at_digit());
    }
    if (in_.accept("step")) ref.trip_stride_bytes = in_.i64();
    return ref;
  }

  std::vector<BufferRef> parse_refs() {
    std::vector<BufferRef> refs;
    in_.expect("(");
    if (in_.accept(")")) return refs;
    do refs.push_back(parse_ref());
    while (in_.accept(","));
    in_.expect(")");
    return refs;
  }

  std::vector<BufferRef> parse_refs(size_t count) {
    std::vector<BufferRef> refs = parse_refs();
    if (refs.size() != count) in_.fail(fmt::format("expected {} buffers", count));
    refs.resize(count);
    return refs;
  }

  std::vector<HostOperand> parse_hosts() {
    std::vector<HostOperand> operands;
    in_.expect("(");
    if (in_.accept(")")) return operands;
    do {
      HostOperand operand;
      operand.ref = parse_ref();
      if (operand.ref.space != Space::host_slot) operand.dtype = parse_type(operand.dims);
      operands.push_back(std::move(operand));
    } while (in_.accept(","));
    in_.expect(")");
    return operands;
  }

  Step parse_run() {
    RunKernel step;
    in_.expect("@");
    const std::string symbol(in_.word());
    const auto it = kernels_.find(symbol);
    if (it == kernels_.end()) {
      in_.fail(fmt::format("no kernel `{}`", symbol));
    } else {
      step.kernel = it->second;
    }
    in_.expect("tiles");
    step.tile_begin = in_.i64();
    in_.expect("..");
    step.tile_end = in_.i64();
    step.buffers = parse_refs();
    return step;
  }

  Step parse_fill() {
    Fill step;
    step.target = parse_refs(1)[0];
    step.pattern = in_.u64();
    in_.expect(":");
    step.pattern_bytes = in_.u32();
    return step;
  }

  Step parse_host() {
    RunHostNode step;
    step.host_node = in_.u32();
    step.operands = parse_hosts();
    in_.expect("->");
    step.results = parse_hosts();
    return step;
  }

  Step parse_if() {
    If step;
    step.condition = parse_refs(1)[0];
    step.then_block = BlockId(in_.u32());
    if (in_.accept("else")) step.else_block = BlockId(in_.u32());
    return step;
  }

  Step parse_loop() {
    Loop step;
    if (in_.accept("most")) {
      step.max_trips = in_.i64();
      if (step.max_trips < 0) in_.fail("expected a number of trips");
    }
    if (in_.accept("count")) step.count = parse_refs(1)[0];
    if (in_.accept("while")) step.condition = parse_refs(1)[0];
    in_.expect("trip");
    step.iteration = parse_refs(1)[0];
    step.body = BlockId(in_.u32());
    return step;
  }

  Step parse_step() {
    if (in_.accept("run")) return parse_run();
    if (in_.accept("acquire")) return Acquire{ChannelId(in_.u32())};
    if (in_.accept("send")) return Send{ChannelId(in_.u32())};
    if (in_.accept("recv")) return Recv{ChannelId(in_.u32())};
    if (in_.accept("release")) return Release{ChannelId(in_.u32())};
    if (in_.accept("barrier")) return Barrier{TeamId(in_.u32())};
    if (in_.accept("fill")) return parse_fill();
    if (in_.accept("host")) return parse_host();
    if (in_.accept("if")) return parse_if();
    if (in_.accept("copy")) {
      const std::vector<BufferRef> refs = parse_refs(2);
      return Copy{refs[0], refs[1]};
    }
    if (in_.accept("loop")) {
      return parse_loop();
    }
    in_.fail("expected a step");
    return Barrier{};
  }

  Scanner in_;
  Plan plan_;
  std::map<std::string, KernelId> kernels_;
};

}  // namespace

OrRefusal<Plan> parse_plan(std::string_view text) { return Parser(text).parse(); }

}  // namespace neuronc::plan
