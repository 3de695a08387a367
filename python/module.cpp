// The extension module `_neuronc`: libneuronc and libnrt as Python objects, and nothing more. Names, types
// of arrays and exceptions are Python's side of it.
//
// The GIL is released while a model compiles, loads or runs, and taken for callbacks. Bytes of requests
// are the caller's own: arrays are held until their request has ended.
#include <neuronc/neuronc.h>
#include <nrt/nrt.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace py = pybind11;

namespace {

// --- The compiler ---------------------------------------------------------------------------------

struct ResultDeleter {
  void operator()(neuronc_result* result) const { neuronc_result_free(result); }
};
using Result = std::unique_ptr<neuronc_result, ResultDeleter>;

py::list hints_list(const std::string& hints) {
  py::list list;
  size_t begin = 0;
  while (begin < hints.size()) {
    const size_t end = std::min(hints.find('\n', begin), hints.size());
    list.append(hints.substr(begin, end - begin));
    begin = end + 1;
  }
  return list;
}

// Names come from models and need not be UTF-8.
py::str text_of(const char* text) {
  PyObject* decoded =
      PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(std::strlen(text)), "replace");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

py::list messages_of(const neuronc_result* result) {
  constexpr const char* kSeverities[] = {"note", "warning", "error"};
  py::list list;
  for (size_t i = 0; i < neuronc_result_num_messages(result); ++i) {
    neuronc_message message{};
    neuronc_result_message(result, i, &message, sizeof(message));
    py::dict dict;
    dict["severity"] = kSeverities[message.severity];
    dict["code"] = text_of(message.code);
    dict["summary"] = text_of(message.summary);
    dict["text"] = text_of(message.text);
    dict["file"] = text_of(message.file);
    dict["node"] = text_of(message.node);
    dict["operator"] = text_of(message.op);
    dict["opset"] = message.opset;
    dict["tensor"] = text_of(message.tensor);
    dict["hints"] = hints_list(message.hints);
    list.append(dict);
  }
  return list;
}

py::dict as_dict(const neuronc_result* result) {
  size_t size = 0;
  const void* neff = neuronc_result_neff(result, &size);
  py::dict dict;
  dict["exit_code"] = neuronc_result_exit_code(result);
  dict["messages"] = messages_of(result);
  dict["report"] = text_of(neuronc_result_report(result));
  dict["neff"] = py::bytes(static_cast<const char*>(neff), neff == nullptr ? 0 : size);
  return dict;
}

// A Python callback during a compile. What it raises ends the compile and is raised again behind it.
struct ProgressCall {
  py::object callback;
  std::exception_ptr error;

  static int call(void* user_data, const neuronc_progress* progress) {
    auto* self = static_cast<ProgressCall*>(user_data);
    const py::gil_scoped_acquire gil;
    try {
      // Ctrl-C reaches a compile here.
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (self->callback.is_none()) return 0;
      const py::object answer =
          self->callback(progress->phase, progress->detail, progress->done, progress->total);
      return answer.is(py::bool_(false)) ? 1 : 0;
    } catch (...) {
      self->error = std::current_exception();
      return 1;
    }
  }
};

// Holds everything that a neuronc_job points to.
struct Job {
  neuronc_job job{};
  std::string path, model, name;
  std::vector<std::string> words;
  std::vector<const char*> word_pointers;
  std::vector<std::pair<std::string, std::string>> external;
  std::vector<neuronc_external_data> external_data;

  Job(std::optional<std::string> path_given, std::optional<py::bytes> model_given,
      std::string name_given, std::vector<std::string> options)
      : name(std::move(name_given)), words(std::move(options)) {
    job.size = sizeof(job);
    if (path_given) {
      path = *path_given;
      job.path = path.c_str();
    } else {
      model = model_given ? std::string(*model_given) : std::string();
      job.model = model.data();
      job.model_bytes = model.size();
      job.name = name.c_str();
    }
    for (const std::string& word : words) word_pointers.push_back(word.c_str());
    job.options = word_pointers.data();
    job.num_options = word_pointers.size();
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void add_external(const py::dict& data) {
    for (const auto& [location, bytes] : data) {
      external.emplace_back(py::cast<std::string>(location),
                            std::string(py::cast<py::bytes>(bytes)));
    }
    for (const auto& [location, bytes] : external) {
      external_data.push_back({location.c_str(), bytes.data(), bytes.size()});
    }
    job.external_data = external_data.data();
    job.num_external_data = external_data.size();
  }
};

py::dict run_job(const std::string& task, std::vector<std::string> options, py::object progress,
                 const py::dict& external_data, std::optional<std::string> path,
                 std::optional<py::bytes> model, std::string name) {
  Job job(std::move(path), std::move(model), std::move(name), std::move(options));
  job.add_external(external_data);
  ProgressCall call{std::move(progress), nullptr};
  job.job.progress = ProgressCall::call;
  job.job.user_data = &call;
  Result result;
  {
    const py::gil_scoped_release release;
    result.reset(task == "check" ? neuronc_check(&job.job) : neuronc_compile(&job.job));
  }
  if (call.error) std::rethrow_exception(call.error);
  return as_dict(result.get());
}

// (name, dtype, shape, bytes) in; the same of the outputs under "outputs".
using Value = std::tuple<std::string, int, std::vector<int64_t>, py::bytes>;

py::dict evaluate(const std::vector<Value>& inputs, std::vector<std::string> options,
                  std::optional<std::string> path, std::optional<py::bytes> model,
                  std::string name) {
  const Job job(std::move(path), std::move(model), std::move(name), std::move(options));
  std::vector<neuronc_tensor> tensors;
  for (const auto& [input, dtype, shape, bytes] : inputs) {
    const auto view = static_cast<std::string_view>(bytes);
    tensors.push_back({sizeof(neuronc_tensor), input.c_str(), dtype,
                       static_cast<uint32_t>(shape.size()), shape.data(), view.data(),
                       view.size()});
  }
  Result result;
  {
    const py::gil_scoped_release release;
    result.reset(neuronc_evaluate(&job.job, tensors.data(), tensors.size()));
  }
  py::dict dict = as_dict(result.get());
  py::list outputs;
  for (size_t i = 0; i < neuronc_result_num_outputs(result.get()); ++i) {
    neuronc_tensor tensor{};
    neuronc_result_output(result.get(), i, &tensor, sizeof(tensor));
    outputs.append(py::make_tuple(
        text_of(tensor.name), tensor.dtype,
        py::tuple(py::cast(std::vector<int64_t>(tensor.shape, tensor.shape + tensor.ndim))),
        py::bytes(static_cast<const char*>(tensor.data), tensor.size_bytes)));
  }
  dict["outputs"] = outputs;
  return dict;
}

py::dict inspect(const py::object& neff) {
  Result result;
  if (py::isinstance<py::bytes>(neff)) {
    const auto view = static_cast<std::string_view>(py::cast<py::bytes>(neff));
    result.reset(neuronc_inspect_bytes(view.data(), view.size()));
  } else {
    result.reset(neuronc_inspect_file(py::cast<std::string>(neff).c_str()));
  }
  return as_dict(result.get());
}

// --- The runtime ----------------------------------------------------------------------------------

// (status, message, value): errors become exceptions on Python's side.
py::tuple outcome(NRT_STATUS status, py::object value = py::none()) {
  return py::make_tuple(static_cast<int>(status),
                        status == NRT_SUCCESS ? "" : nrt_get_last_message(), std::move(value));
}

// The first model starts the runtime; a program that did so itself is not disturbed.
NRT_STATUS start_runtime() {
  uint32_t count = 0;
  if (nrt_get_visible_nc_count(&count) == NRT_SUCCESS) return NRT_SUCCESS;
  return nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
}

struct TensorDeleter {
  void operator()(nrt_tensor_t* tensor) const { nrt_tensor_free(&tensor); }
};
using Tensor = std::unique_ptr<nrt_tensor_t, TensorDeleter>;

struct Info {
  std::string name;
  int dtype = 0;
  std::vector<int64_t> shape;
  size_t size_bytes = 0;
  nrt_value_kind_t kind = NRT_VALUE_TENSOR;
};

// The tensors of one request over the arrays of its caller.
class Request {
 public:
  Request() {
    nrt_allocate_tensor_set(&inputs_);
    nrt_allocate_tensor_set(&outputs_);
  }
  ~Request() {
    nrt_destroy_tensor_set(&inputs_);
    nrt_destroy_tensor_set(&outputs_);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  void add_input(const Info& info, const py::handle& value) {
    // The view may end: the caller's list holds the array.
    tensors_.push_back(info.kind == NRT_VALUE_TENSOR ? over(value) : list_of(value));
    nrt_add_tensor_to_tensor_set(inputs_, info.name.c_str(), tensors_.back().get());
  }
  void add_output(const Info& info, const py::object& array) {
    Tensor tensor;
    if (array.is_none()) {
      tensor = attached(nullptr, 0);
    } else {
      auto bytes = py::cast<py::array>(array);
      tensor = attached(bytes.mutable_data(), static_cast<size_t>(bytes.nbytes()));
    }
    is_sized_here_.push_back(array.is_none());
    kinds_.push_back(info.kind);
    nrt_add_tensor_to_tensor_set(outputs_, info.name.c_str(), tensor.get());
    results_.push_back(std::move(tensor));
  }

  nrt_tensor_set_t* inputs() { return inputs_; }
  nrt_tensor_set_t* outputs() { return outputs_; }

  // Of the outputs that the runtime sized: (bytes as an array over the tensor's own memory, shape); of
  // sequences and optionals a list of these, or None.
  py::list results() {
    py::list list;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (!is_sized_here_[i]) {
        list.append(py::none());
        continue;
      }
      nrt_tensor_t* tensor = results_[i].release();
      const py::capsule owner(tensor, [](void* pointer) {
        auto* owned = static_cast<nrt_tensor_t*>(pointer);
        nrt_tensor_free(&owned);
      });
      if (kinds_[i] == NRT_VALUE_TENSOR) {
        list.append(bytes_and_shape(tensor, owner));
      } else {
        list.append(elements(tensor, owner));
      }
    }
    return list;
  }

 private:
  static py::tuple bytes_and_shape(const nrt_tensor_t* tensor, const py::capsule& owner) {
    const int64_t* dims = nullptr;
    uint32_t rank = 0;
    nrt_tensor_get_shape(tensor, &dims, &rank);
    py::array_t<uint8_t> bytes({static_cast<py::ssize_t>(nrt_tensor_get_size(tensor))},
                               static_cast<const uint8_t*>(nrt_tensor_get_va(tensor)), owner);
    return py::make_tuple(bytes, py::tuple(py::cast(std::vector<int64_t>(dims, dims + rank))));
  }

  // The elements live as long as their list, which does not change any more.
  static py::object elements(const nrt_tensor_t* list, const py::capsule& owner) {
    size_t count = 0;
    int has_value = 0;
    nrt_tensor_list_get_count(list, &count, &has_value);
    if (has_value == 0) return py::none();
    py::list result;
    for (size_t i = 0; i < count; ++i) {
      nrt_tensor_t* element = nullptr;
      nrt_tensor_list_get(list, i, &element);
      result.append(bytes_and_shape(element, owner));
    }
    return result;
  }

  static Tensor over(const py::handle& bytes) {
    const py::buffer_info view = py::cast<py::buffer>(bytes).request();
    return attached(view.ptr, static_cast<size_t>(view.size * view.itemsize));
  }

  // None: absent. Otherwise a list of (bytes, shape).
  static Tensor list_of(const py::handle& value) {
    Tensor list = attached(nullptr, 0);
    nrt_tensor_list_clear(list.get(), value.is_none() ? 0 : 1);
    if (value.is_none()) return list;
    for (const py::handle& element : py::cast<py::list>(value)) {
      const auto pair = py::cast<py::tuple>(element);
      const auto shape = py::cast<std::vector<int64_t>>(pair[1]);
      const Tensor tensor = over(pair[0]);
      nrt_tensor_set_shape(tensor.get(), shape.data(), static_cast<uint32_t>(shape.size()));
      nrt_tensor_list_append(list.get(), tensor.get());
    }
    return list;
  }

  static Tensor attached(void* data, size_t size_bytes) {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate_empty("", &tensor);
    // A tensor of no elements needs an address too.
    static std::byte nothing[1];
    if (data != nullptr || size_bytes > 0) {
      nrt_tensor_attach_buffer(tensor, size_bytes > 0 ? data : nothing, size_bytes);
    }
    return Tensor(tensor);
  }

  nrt_tensor_set_t* inputs_ = nullptr;
  nrt_tensor_set_t* outputs_ = nullptr;
  std::vector<Tensor> tensors_;
  std::vector<Tensor> results_;
  std::vector<bool> is_sized_here_;
  std::vector<nrt_value_kind_t> kinds_;
};

// What an asynchronous request keeps until its completion, which comes on a thread of the runtime.
struct Pending {
  Request request;
  py::object arrays;  // inputs and outputs
  py::object callback;
};

class Model {
 public:
  explicit Model(nrt_model_t* handle) : handle_(handle) {
    nrt_tensor_info_array_t* array = nullptr;
    if (nrt_get_model_tensor_info(handle, &array) != NRT_SUCCESS) return;
    for (uint64_t i = 0; i < array->tensor_count; ++i) {
      const nrt_tensor_info_t& info = array->tensor_array[i];
      auto& list = info.usage == NRT_TENSOR_USAGE_INPUT ? inputs_ : outputs_;
      nrt_value_kind_t kind = NRT_VALUE_TENSOR;
      nrt_get_model_value_kind(handle, info.usage, info.name, &kind);
      list.push_back(
          {info.name, info.dtype, {info.shape, info.shape + info.ndim}, info.size, kind});
    }
    nrt_free_model_tensor_info(array);
  }
  ~Model() { close(); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  static py::tuple load(const py::object& neff, int core) {
    nrt_model_t* handle = nullptr;
    NRT_STATUS status = start_runtime();
    if (status != NRT_SUCCESS) return outcome(status);
    if (py::isinstance<py::bytes>(neff)) {
      const auto view = static_cast<std::string_view>(py::cast<py::bytes>(neff));
      const py::gil_scoped_release release;
      status = nrt_load(view.data(), view.size(), core, 0, &handle);
    } else {
      const auto path = py::cast<std::string>(neff);
      const py::gil_scoped_release release;
      status = nrt_load_file(path.c_str(), core, 0, &handle);
    }
    if (status != NRT_SUCCESS) return outcome(status);
    return outcome(status, py::cast(new Model(handle), py::return_value_policy::take_ownership));
  }

  static py::list infos(const std::vector<Info>& list) {
    py::list result;
    for (const Info& info : list) {
      result.append(py::make_tuple(text_of(info.name.c_str()), info.dtype,
                                   py::tuple(py::cast(info.shape)), info.size_bytes,
                                   static_cast<int>(info.kind)));
    }
    return result;
  }
  py::list inputs() const { return infos(inputs_); }
  py::list outputs() const { return infos(outputs_); }

  py::dict info() const {
    nrt_model_info_t info{};
    nrt_get_model_info(handle_, &info, sizeof(info));
    py::dict dict;
    dict["name"] = text_of(info.name);
    dict["uuid"] = text_of(info.uuid);
    dict["compiler_version"] = text_of(info.compiler_version);
    dict["target"] = text_of(info.target);
    dict["nc_count"] = info.nc_count;
    dict["first_nc"] = info.first_nc;
    dict["code_bytes"] = info.code_bytes;
    dict["weight_bytes"] = info.weight_bytes;
    dict["memory_bytes"] = info.memory_bytes;
    return dict;
  }

  py::bytes metadata() const {
    const char* json = nullptr;
    size_t size = 0;
    nrt_get_model_metadata(handle_, &json, &size);
    return {json, size};
  }

  py::tuple run(const py::list& inputs, const py::list& outputs, uint64_t timeout_ns) {
    Request request;
    fill(request, inputs, outputs);
    NRT_STATUS status = NRT_SUCCESS;
    {
      const py::gil_scoped_release release;
      status = timeout_ns == 0
                   ? nrt_execute(handle_, request.inputs(), request.outputs())
                   : nrt_execute_timeout(handle_, request.inputs(), request.outputs(), timeout_ns);
    }
    if (status != NRT_SUCCESS) return outcome(status);
    return outcome(status, request.results());
  }

  py::tuple run_async(const py::list& inputs, const py::list& outputs, py::object callback) {
    auto pending = std::make_unique<Pending>();
    fill(pending->request, inputs, outputs);
    pending->arrays = py::make_tuple(inputs, outputs);
    pending->callback = std::move(callback);
    Pending* raw = pending.release();  // the completion's from here on
    NRT_STATUS status = NRT_SUCCESS;
    {
      const py::gil_scoped_release release;
      status =
          nrt_execute_async(handle_, raw->request.inputs(), raw->request.outputs(), complete, raw);
    }
    if (status != NRT_SUCCESS) delete raw;
    return outcome(status);
  }

  void close() {
    nrt_model_t* handle = std::exchange(handle_, nullptr);
    if (handle == nullptr) return;
    const py::gil_scoped_release release;
    nrt_unload(handle);
  }

 private:
  void fill(Request& request, const py::list& inputs, const py::list& outputs) {
    for (size_t i = 0; i < inputs_.size(); ++i) request.add_input(inputs_[i], inputs[i]);
    for (size_t i = 0; i < outputs_.size(); ++i) request.add_output(outputs_[i], outputs[i]);
  }

  static void complete(void* user_data, NRT_STATUS status, const char* message) {
    const py::gil_scoped_acquire gil;
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(user_data));
    try {
      const py::object results =
          status == NRT_SUCCESS ? py::object(pending->request.results()) : py::none();
      pending->callback(static_cast<int>(status), message == nullptr ? "" : message, results);
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("neuronc.Model.run_async");
    }
  }

  nrt_model_t* handle_;
  std::vector<Info> inputs_, outputs_;
};

py::tuple check_neff(const std::string& path, const std::optional<std::string>& features) {
  nrt_neff_compat_t compat{};
  const NRT_STATUS status =
      nrt_check_neff(path.c_str(), features ? features->c_str() : nullptr, &compat, sizeof(compat));
  py::dict dict;
  dict["format"] = std::to_string(compat.format_major) + "." + std::to_string(compat.format_minor);
  dict["neuroncores"] = compat.nc_count;
  dict["compiler_version"] = text_of(compat.compiler_version);
  dict["target"] = text_of(compat.target);
  dict["targets"] = text_of(compat.targets).attr("split")();
  dict["missing"] = text_of(compat.missing).attr("split")();
  return py::make_tuple(static_cast<int>(status),
                        status == NRT_SUCCESS ? "" : nrt_get_last_message(), dict);
}

}  // namespace

PYBIND11_MODULE(_neuronc, m) {
  m.doc() = "libneuronc and libnrt; use the package neuronc.";
  m.def(
      "version", [] { return std::string(neuronc_version()); }, "The compiler's name and version.");
  m.def("llvm_version", [] { return std::string(neuronc_llvm_version()); }, "LLVM's version.");
  m.def(
      "cpu_features", [] { return std::string(nrt_get_cpu_features()); },
      "What this machine's code may use, separated by blanks.");
  m.def(
      "status_name",
      [](int status) {
        return std::string(nrt_get_status_as_str(static_cast<NRT_STATUS>(status)));
      },
      py::arg("status"), "The name of an NRT status.");
  m.def(
      "explain", [](const std::string& code) { return std::string(neuronc_explain(code.c_str())); },
      py::arg("code"), "The page behind a message's code; empty if there is none.");
  m.def("run_job", run_job, py::kw_only(), py::arg("task"), py::arg("options"), py::arg("progress"),
        py::arg("external_data"), py::arg("path") = py::none(), py::arg("model") = py::none(),
        py::arg("name") = "", "Compiles or checks a model.");
  m.def("evaluate", evaluate, py::kw_only(), py::arg("inputs"), py::arg("options"),
        py::arg("path") = py::none(), py::arg("model") = py::none(), py::arg("name") = "",
        "Evaluates a model without compiling it.");
  m.def("inspect", inspect, py::arg("neff"), "What a NEFF holds.");
  m.def("check_neff", check_neff, py::arg("path"), py::arg("features"), "Whether a NEFF runs.");
  m.def("load_model", Model::load, py::arg("neff"), py::arg("core"),
        "Loads a NEFF: (status, message, Model).");
  py::class_<Model>(m, "Model", "A loaded NEFF.")
      .def("inputs", &Model::inputs, "(name, type, shape, bytes, kind) of each input.")
      .def("outputs", &Model::outputs, "(name, type, shape, bytes, kind) of each output.")
      .def("info", &Model::info, "What nrt_get_model_info says.")
      .def("metadata", &Model::metadata, "neff.json.")
      .def("run", &Model::run, py::arg("inputs"), py::arg("outputs"), py::arg("timeout_ns"),
           "Runs a request: (status, message, outputs that the runtime sized).")
      .def("run_async", &Model::run_async, py::arg("inputs"), py::arg("outputs"),
           py::arg("callback"), "Starts a request; the callback gets what `run` returns.")
      .def("close", &Model::close, "Unloads the model.");
}
