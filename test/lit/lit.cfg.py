# Text tests: small modules run through `neuronc`, what comes out compared by FileCheck.
#   %neuronc    the command under test        %s, %t, %S    lit's file, temporary name, folder
import os

import lit.formats

config.name = "neuronc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".nir", ".nki", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = lit_config.params["exec_root"]

tools = [lit_config.params["neuronc_bin"], lit_config.params["llvm_bin"]]
config.environment["PATH"] = os.pathsep.join(tools + [config.environment["PATH"]])
config.substitutions.append(("%neuronc", os.path.join(tools[0], "neuronc")))
config.substitutions.append(("%bin", tools[0]))
config.substitutions.append(("%unit_kernel", os.path.join(tools[0], "unit_kernel")))
