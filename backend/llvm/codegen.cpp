// The way from kernels to an ELF: module, passes, machine code, link.
#include "backend/llvm/codegen.h"

#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/ErrorHandling.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/ADCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/IndVarSimplify.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/LoopUnrollPass.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/LCSSA.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "backend/llvm/emit.h"
#include "backend/llvm/link.h"
#include "ir/base/thread.h"
#include "ir/kernel/verify.h"

namespace neuronc {
namespace llvm_backend {
namespace {

struct FatalError {
  std::string reason;
};

// LLVM is built with unwind tables, so an exception leaves it; nothing of it is used afterwards.
// Without this handler, which is one for the process and so the command's, LLVM aborts. Memory that
// `new` cannot get throws in either case.
void on_fatal_error(void*, const char* reason, bool) { throw FatalError{reason}; }

// Owns an object that LLVM works on. An exception skips the destructors of LLVM's own frames, which
// would have put the object in order: it cannot be destroyed any more, and is left behind.
template <class T>
class Worked {
 public:
  explicit Worked(std::unique_ptr<T> object) : object_(object.release()) {}
  ~Worked() {
    if (std::uncaught_exceptions() == num_exceptions_) delete object_;
  }
  Worked(const Worked&) = delete;
  Worked& operator=(const Worked&) = delete;

  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  std::unique_ptr<T> release() { return std::unique_ptr<T>(std::exchange(object_, nullptr)); }

 private:
  T* object_;
  int num_exceptions_ = std::uncaught_exceptions();
};

void initialise_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
}

OrRefusal<std::unique_ptr<llvm::TargetMachine>> make_machine(const Isa& isa, int opt_level) {
  const char* triple = "x86_64-unknown-linux-gnu";
  std::string error;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (target == nullptr) return refuse("LLVM has no x86-64: " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.UnsafeFPMath = false;
  const llvm::CodeGenOptLevel level =
      opt_level == 0 ? llvm::CodeGenOptLevel::None : llvm::CodeGenOptLevel::Default;
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, isa.llvm_cpu, isa.llvm_features(), options,
                                  llvm::Reloc::PIC_, llvm::CodeModel::Small, level));
  if (machine == nullptr) return refuse("LLVM cannot make code for " + isa.name);
  return machine;
}

// Compares vectors of halves as floats, and takes the greater and the smaller of them so. InstCombine drops
// the conversions around them, and without arithmetic on halves the code generator then goes lane by lane.
struct WidenHalves : llvm::PassInfoMixin<WidenHalves> {
  static bool is_halves(const llvm::Type* type) {
    return type->isVectorTy() && type->getScalarType()->isHalfTy();
  }

  static void widen(llvm::Instruction& instruction, unsigned num_operands) {
    llvm::IRBuilder<> builder(&instruction);
    for (unsigned i = 0; i < num_operands; ++i) {
      llvm::Value* operand = instruction.getOperand(i);
      auto* type = llvm::cast<llvm::VectorType>(operand->getType());
      instruction.setOperand(
          i, builder.CreateFPExt(operand, llvm::VectorType::get(builder.getFloatTy(), type)));
    }
  }

  static llvm::PreservedAnalyses run(llvm::Function& function, llvm::FunctionAnalysisManager&) {
    bool has_changed = false;
    for (llvm::Instruction& instruction :
         llvm::make_early_inc_range(llvm::instructions(function))) {
      if (llvm::isa<llvm::FCmpInst>(instruction) &&
          is_halves(instruction.getOperand(0)->getType())) {
        widen(instruction, 2);
        has_changed = true;
      }
      auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
      if (call == nullptr || !is_halves(call->getType())) continue;
      const llvm::Intrinsic::ID id = call->getIntrinsicID();
      if (id != llvm::Intrinsic::maximum && id != llvm::Intrinsic::minimum) continue;
      llvm::IRBuilder<> builder(call);
      auto* wide = llvm::VectorType::get(builder.getFloatTy(),
                                         llvm::cast<llvm::VectorType>(call->getType()));
      llvm::Value* result =
          builder.CreateBinaryIntrinsic(id, builder.CreateFPExt(call->getArgOperand(0), wide),
                                        builder.CreateFPExt(call->getArgOperand(1), wide));
      call->replaceAllUsesWith(builder.CreateFPTrunc(result, call->getType()));
      call->eraseFromParent();
      has_changed = true;
    }
    return has_changed ? llvm::PreservedAnalyses::none() : llvm::PreservedAnalyses::all();
  }
};

// No loop idioms, no vectorisers: they would make calls, or reorder what the kernel states.
struct Optimiser {
  explicit Optimiser(llvm::TargetMachine& machine) : builder(&machine, tuning()) {
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(graphs);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, graphs, modules);
  }

  static llvm::PipelineTuningOptions tuning() {
    llvm::PipelineTuningOptions tuning;
    tuning.LoopVectorization = false;
    tuning.SLPVectorization = false;
    return tuning;
  }

  llvm::PassBuilder builder;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::ModulePassManager passes;
};

void optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  const Worked optimiser(std::make_unique<Optimiser>(machine));
  const auto licm = [] {
    return llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()),
                                                 /*UseMemorySSA=*/true);
  };
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::LoopSimplifyPass());
  passes.addPass(llvm::LCSSAPass());
  passes.addPass(licm());
  passes.addPass(llvm::LoopUnrollPass(llvm::LoopUnrollOptions(/*OptLevel=*/2,
                                                              /*OnlyWhenForced=*/true)));
  passes.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(licm());
  passes.addPass(llvm::ADCEPass());
  passes.addPass(WidenHalves());
  optimiser->passes.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(passes)));
  optimiser->passes.run(module, optimiser->modules);
}

OrRefusal<std::unique_ptr<llvm::Module>> make_module(llvm::LLVMContext& context,
                                                     llvm::TargetMachine& machine,
                                                     std::span<const KernelSymbol> kernels,
                                                     const Isa& isa) {
  Worked module(std::make_unique<llvm::Module>("neuronc", context));
  module->setTargetTriple(machine.getTargetTriple().str());
  module->setDataLayout(machine.createDataLayout());
  module->setPICLevel(llvm::PICLevel::SmallPIC);
  for (const KernelSymbol& symbol : kernels) {
    llvm::Function* function = emit_kernel(*module, *symbol.kernel, symbol.name, isa);
    for (const std::string& alias : symbol.aliases) llvm::GlobalAlias::create(alias, function);
  }
  const std::string features = isa.llvm_features();
  for (llvm::Function& function : *module) {
    if (function.isDeclaration()) continue;
    function.addFnAttr("target-cpu", isa.llvm_cpu);
    if (!features.empty()) function.addFnAttr("target-features", features);
  }
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  if (llvm::verifyModule(*module, &stream)) return refuse("malformed LLVM IR: " + problem);
  return module.release();
}

OrRefusal<llvm::SmallVector<char, 0>> emit_file(llvm::Module& module, llvm::TargetMachine& machine,
                                                llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  const Worked passes(std::make_unique<llvm::legacy::PassManager>());
  if (machine.addPassesToEmitFile(*passes, stream, nullptr, type)) {
    return refuse("LLVM cannot write this kind of file");
  }
  passes->run(module);
  return bytes;
}

enum class Product { module_text, assembly, object };

OrRefusal<llvm::SmallVector<char, 0>> produce(std::span<const KernelSymbol> kernels,
                                              const CodegenOptions& options, Product product) {
  initialise_llvm();
  try {
    const Isa& isa = options.isa;
    NEURONC_ASSIGN(auto made_machine, make_machine(isa, options.opt_level));
    const Worked machine(std::move(made_machine));
    const Worked context(std::make_unique<llvm::LLVMContext>());
    NEURONC_ASSIGN(auto made_module, make_module(*context, *machine, kernels, isa));
    const Worked module(std::move(made_module));
    if (product == Product::module_text) {
      llvm::SmallVector<char, 0> text;
      llvm::raw_svector_ostream stream(text);
      module->print(stream, nullptr);
      return text;
    }
    if (options.opt_level > 0) optimise(*module, *machine);
    return emit_file(*module, *machine,
                     product == Product::object ? llvm::CodeGenFileType::ObjectFile
                                                : llvm::CodeGenFileType::AssemblyFile);
  } catch (const FatalError& error) {
    return refuse("LLVM gave up: " + error.reason);
  }
}

using Object = llvm::SmallVector<char, 0>;

// Where LLVM's own arrays get no memory it ends the process, which a library must not do. So there is
// room for what an object takes on each thread before it is begun. 64 MiB is several times what
// objects have been seen to take.
bool has_memory_for(size_t num_threads) {
  const size_t size_bytes = num_threads * (size_t{64} << 20);
  void* room =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return room != MAP_FAILED && munmap(room, size_bytes) == 0;
}

// Kernels that share an object. Fixed, so that the bytes do not depend on the number of threads.
constexpr size_t kKernelsPerObject = 8;

std::vector<OrRefusal<Object>> produce_objects(std::span<const KernelSymbol> kernels,
                                               const CodegenOptions& options) {
  const size_t count =
      std::max<size_t>((kernels.size() + kKernelsPerObject - 1) / kKernelsPerObject, 1);
  std::vector<OrRefusal<Object>> objects(count, refuse("not made"));
  std::atomic<size_t> next{0};
  std::atomic<size_t> num_done{0};
  std::mutex mutex;
  std::exception_ptr failure;  // the first of any thread
  size_t num_threads = std::min(
      options.num_threads > 0 ? static_cast<size_t>(options.num_threads) : num_usable_processors(),
      count);
  while (num_threads > 1 && !has_memory_for(num_threads)) --num_threads;
  // `tell` is called behind each object, and may end the work of all threads. What is thrown, memory
  // that cannot be had or by the caller's callback, ends it too, and waits until no thread is left.
  const auto work_and = [&](const auto& tell) {
    try {
      for (size_t i = next++; i < count; i = next++) {
        if (!has_memory_for(num_threads)) throw std::bad_alloc();
        const size_t first = i * kKernelsPerObject;
        const size_t size = std::min(kKernelsPerObject, kernels.size() - first);
        objects[i] = produce(kernels.subspan(first, size), options, Product::object);
        num_done += size;
        if (!tell()) next = count;
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  const auto work = [&] { work_and([] { return true; }); };
  std::vector<Thread> helpers;
  helpers.reserve(num_threads);
  try {
    for (size_t i = 1; i < num_threads; ++i) helpers.push_back(start_thread("neuronc llvm", work));
  } catch (const std::exception&) {
    // The machine gives no more threads; those there are do the work.
  }
  work_and([&] {
    return !options.progress || options.progress(static_cast<int64_t>(num_done.load()),
                                                 static_cast<int64_t>(kernels.size()));
  });
  for (Thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
  return objects;
}

// What the emitter relies on: valid kernels (no native code leaves a buffer) and names of their
// own.
OrRefusal<bool> check_kernels(std::span<const KernelSymbol> kernels,
                              const CodegenOptions& options) {
  std::set<std::string_view> seen;
  for (const KernelSymbol& symbol : kernels) {
    const auto errors =
        options.is_verified ? std::vector<std::string>() : kernel::verify(*symbol.kernel, 1);
    if (!errors.empty()) {
      return refuse("kernel `" + symbol.name + "` is not valid: " + errors[0]);
    }
    if (!seen.insert(symbol.name).second) {
      return refuse("two kernels have the symbol `" + symbol.name + "`");
    }
    for (const std::string& alias : symbol.aliases) {
      if (!seen.insert(alias).second) return refuse("two kernels have the symbol `" + alias + "`");
    }
  }
  return true;
}

OrRefusal<std::string> produce_text(std::span<const KernelSymbol> kernels,
                                    const CodegenOptions& options, Product product) {
  NEURONC_ASSIGN(const auto text, produce(kernels, options, product));
  return std::string(text.begin(), text.end());
}

}  // namespace
}  // namespace llvm_backend

void throw_llvm_errors() {
  llvm::install_bad_alloc_error_handler([](void*, const char*, bool) { throw std::bad_alloc(); });
  llvm::install_fatal_error_handler(llvm_backend::on_fatal_error, nullptr);
}

OrRefusal<std::vector<std::byte>> compile_kernels(std::span<const KernelSymbol> kernels,
                                                  const CodegenOptions& options,
                                                  CodegenTimes* times) {
  using llvm_backend::Object;
  CodegenTimes unused;
  CodegenTimes& taken = times == nullptr ? unused : *times;
  auto begin = std::chrono::steady_clock::now();
  const auto lap = [&begin] {
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(end - std::exchange(begin, end))
        .count();
  };
  NEURONC_TRY(llvm_backend::check_kernels(kernels, options));
  taken.verify_ns = lap();
  const std::vector<OrRefusal<Object>> objects = llvm_backend::produce_objects(kernels, options);
  std::vector<std::span<const char>> views;
  for (const OrRefusal<Object>& object : objects) {
    if (!object) return tl::unexpected(object.error());
    views.emplace_back(object->data(), object->size());
  }
  taken.llvm_ns = lap();
  auto linked = llvm_backend::link_shared_object(views);
  taken.link_ns = lap();
  return linked;
}

OrRefusal<std::string> emit_llvm_text(std::span<const KernelSymbol> kernels,
                                      const CodegenOptions& options) {
  return llvm_backend::produce_text(kernels, options, llvm_backend::Product::module_text);
}

OrRefusal<std::string> emit_assembly(std::span<const KernelSymbol> kernels,
                                     const CodegenOptions& options) {
  return llvm_backend::produce_text(kernels, options, llvm_backend::Product::assembly);
}

}  // namespace neuronc
