// Compiles a model inside a program: the compiler as a library.
//
//   embed_compiler MODEL.onnx OUT.neff
#include <neuronc/compiler.h>

#include <cstdio>
#include <fstream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: embed_compiler MODEL.onnx OUT.neff\n");
    return 2;
  }
  neuronc::CompileOptions options;
  options.num_neuroncores = 2;
  options.auto_cast = neuronc::AutoCast::matmult;

  // The NEFF stays in memory; compile_file_to would write it itself.
  const neuronc::CompileResult result = neuronc::compile_file(argv[1], options);
  std::fputs(result.messages_text().c_str(), stderr);
  if (!result.is_ok()) return result.exit_code;

  std::ofstream file(argv[2], std::ios::binary);
  file.write(reinterpret_cast<const char*>(result.neff.data()),
             static_cast<std::streamsize>(result.neff.size()));
  if (!file) {
    std::fprintf(stderr, "cannot write %s\n", argv[2]);
    return 1;
  }
  std::printf("%s: %zu bytes, %lld of %lld operations on NeuronCores\n", argv[2],
              result.neff.size(), static_cast<long long>(result.operations.num_on_neuroncores),
              static_cast<long long>(result.operations.num_after_optimizations));
  return 0;
}
