"""ai.onnx.ml: what converters of scikit-learn, XGBoost and LightGBM write."""

import numpy as np

from case import ML, Collection, Typed, ints, random

CASES = Collection("ml", domain=ML)
add = CASES.add

x = random(1, 7, 4, low=-2, high=2)


def trees(count, depth, classes, seed=3, prefix="target", features=4, full=False, positive=False, dtype=float):
    """Attributes of complete binary trees; each leaf weighs on one class, or on all with `full`."""
    a = {key: [] for key in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes",
                             "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    inner = 2**depth - 1
    numbers = iter(random(seed, count * (inner * 3 + 2**depth * (classes + 1)), low=0, high=1).tolist())
    for tree in range(count):
        for node in range(2 * inner + 1):
            is_leaf = node >= inner
            a["nodes_treeids"].append(tree)
            a["nodes_nodeids"].append(node)
            a["nodes_featureids"].append(0 if is_leaf else int(next(numbers) * features))
            a["nodes_values"].append(0.0 if is_leaf else 3 * next(numbers) - 1.5)
            a["nodes_modes"].append("LEAF" if is_leaf else "BRANCH_LEQ")
            a["nodes_truenodeids"].append(0 if is_leaf else 2 * node + 1)
            a["nodes_falsenodeids"].append(0 if is_leaf else 2 * node + 2)
            a["nodes_missing_value_tracks_true"].append(0 if is_leaf else int(next(numbers) * 2))
            if not is_leaf:
                continue
            for c in range(classes) if full else [tree % classes]:
                leaves["treeids"].append(tree)
                leaves["nodeids"].append(node)
                leaves["ids"].append(c)
                weight = next(numbers)
                leaves["weights"].append(weight / count if positive else 2 * weight - 1)
    a.update({f"{prefix}_{key}": value for key, value in leaves.items()})
    return a


def walked(x, a, targets, prefix):
    """Sums of the leaves' weights, one row and one tree after the other."""
    y = np.zeros((len(x), targets))
    key = {(t, n): i for i, (t, n) in enumerate(zip(a["nodes_treeids"], a["nodes_nodeids"]))}
    leaves = list(zip(*(a[f"{prefix}_{k}"] for k in ("treeids", "nodeids", "ids", "weights"))))
    for row, values in enumerate(x):
        for tree in sorted(set(a["nodes_treeids"])):
            i = key[tree, 0]
            while a["nodes_modes"][i] != "LEAF":
                goes = values[a["nodes_featureids"][i]] <= a["nodes_values"][i]
                i = key[tree, a["nodes_truenodeids" if goes else "nodes_falsenodeids"][i]]
            for t, n, target, weight in leaves:
                y[row, target] += weight if (t, n) == (tree, a["nodes_nodeids"][i]) else 0
    return y


for name, count, depth, targets in [("one", 1, 3, 1), ("many", 20, 4, 1), ("stump", 5, 1, 1), ("targets", 9, 3, 3)]:
    add(f"tree_regressor_{name}", "TreeEnsembleRegressor", [x],
        {**trees(count, depth, targets), "n_targets": targets})
for aggregate in ("AVERAGE", "MIN", "MAX"):
    add(f"tree_regressor_{aggregate}", "TreeEnsembleRegressor", [x],
        {**trees(6, 3, 1), "n_targets": 1, "aggregate_function": aggregate})
add("tree_regressor_base", "TreeEnsembleRegressor", [x], {**trees(6, 3, 1), "n_targets": 1, "base_values": [0.5]})
missing = x.copy()
missing[::2, 1] = np.nan
missing[1, 0] = np.nan
add("tree_regressor_missing", "TreeEnsembleRegressor", [missing], {**trees(8, 3, 1), "n_targets": 1})
for mode in ("BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"):
    a = trees(6, 3, 1, seed=5)
    a["nodes_modes"] = ["LEAF" if m == "LEAF" else mode for m in a["nodes_modes"]]
    a["nodes_values"] = [float(round(2 * v) / 2) for v in a["nodes_values"]]
    add(f"tree_regressor_{mode}", "TreeEnsembleRegressor", [np.round(2 * x) / 2], {**a, "n_targets": 1})
a = trees(6, 3, 1, seed=6)
modes = ["BRANCH_LT", "BRANCH_LEQ", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"]
a["nodes_modes"] = ["LEAF" if m == "LEAF" else modes[i % 6] for i, m in enumerate(a["nodes_modes"])]
add("tree_regressor_mixed", "TreeEnsembleRegressor", [x], {**a, "n_targets": 1})
# ONNX Runtime ignores the transform of a single target; the definition does not.
add("tree_regressor_logistic", "TreeEnsembleRegressor", [x],
    {**trees(6, 3, 1), "n_targets": 1, "post_transform": "LOGISTIC"},
    expected=[(1 / (1 + np.exp(-walked(x, trees(6, 3, 1), 1, "target")))).astype(np.float32)])
add("tree_regressor_double", "TreeEnsembleRegressor", [x.astype(np.float64)], {**trees(6, 3, 1), "n_targets": 1})

labels = {"classlabels_int64s": [10, 20, 30]}
for transform in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"):
    add(f"tree_classifier_{transform}", "TreeEnsembleClassifier", [x],
        {**trees(9, 3, 3, prefix="class"), **labels, "post_transform": transform}, num_outputs=2)
    add(f"tree_classifier_binary_{transform}", "TreeEnsembleClassifier", [x],
        {**trees(9, 3, 1, prefix="class"), "classlabels_int64s": [0, 1], "post_transform": transform}, num_outputs=2)
add("tree_classifier_forest", "TreeEnsembleClassifier", [x],
    {**trees(9, 3, 3, prefix="class", full=True, positive=True), **labels}, num_outputs=2)
# The likelier class; ONNX Runtime gives 1, which may be no label, wherever the second has a weight.
forest = trees(9, 3, 2, prefix="class", full=True, positive=True)
likely = walked(x, forest, 2, "class")
add("tree_classifier_forest_binary", "TreeEnsembleClassifier", [x], {**forest, "classlabels_int64s": [4, 6]},
    num_outputs=2, expected=[np.array([4, 6])[likely.argmax(1)], likely.astype(np.float32)])
add("tree_classifier_binary_positive", "TreeEnsembleClassifier", [x],
    {**trees(9, 3, 1, prefix="class", positive=True), "classlabels_int64s": [0, 1]}, num_outputs=2)
add("tree_classifier_base", "TreeEnsembleClassifier", [x],
    {**trees(9, 3, 3, prefix="class"), **labels, "base_values": [0.1, -0.2, 0.3]}, num_outputs=2)
add("tree_classifier_binary_base", "TreeEnsembleClassifier", [x],
    {**trees(9, 3, 1, prefix="class"), "classlabels_int64s": [0, 1], "base_values": [0.4],
     "post_transform": "LOGISTIC"}, num_outputs=2)
add("tree_classifier_strings", "TreeEnsembleClassifier", [x],
    {**trees(9, 3, 3, prefix="class"), "classlabels_strings": ["cat", "dog", "owl"]}, num_outputs=2)
add("tree_classifier_integers", "TreeEnsembleClassifier", [ints(2, 7, 4, low=-2, high=3)],
    {**trees(9, 3, 3, prefix="class"), **labels}, num_outputs=2)

five = {"opset": 5}
split = {"n_targets": 2, "tree_roots": [0, 2], "nodes_featureids": [0, 2, 1], "nodes_modes": np.array([0, 4, 2], np.uint8),
         "nodes_splits": np.array([0.2, 1, -0.3], np.float32), "nodes_truenodeids": [1, 0, 3],
         "nodes_trueleafs": [0, 1, 1], "nodes_falsenodeids": [2, 1, 4], "nodes_falseleafs": [1, 1, 1],
         "leaf_targetids": [0, 1, 0, 1, 0], "leaf_weights": np.array([1.5, 2.5, -3, 4.25, 0.5], np.float32)}
for aggregate in range(4):
    add(f"tree_ensemble_{aggregate}", "TreeEnsemble", [np.round(x)], {**split, "aggregate_function": aggregate}, **five)
member = {"n_targets": 1, "tree_roots": [0], "nodes_featureids": [0, 1], "nodes_modes": np.array([6, 6], np.uint8),
          "nodes_splits": np.array([0, 0], np.float32), "nodes_truenodeids": [0, 2], "nodes_trueleafs": [1, 1],
          "nodes_falsenodeids": [1, 1], "nodes_falseleafs": [0, 1], "leaf_targetids": [0, 0, 0],
          "leaf_weights": np.array([1, 10, 100], np.float32),
          "membership_values": np.array([-1, 2, np.nan, 0, 1, -2], np.float32)}
add("tree_ensemble_member", "TreeEnsemble", [np.round(x)], member,
    expected=[np.where(np.isin(np.round(x)[:, :1], [-1, 2]), 1, np.where(np.isin(np.round(x)[:, 1:2], [0, 1, -2]), 100, 10))
              .astype(np.float32)], **five)

coefficients = random(10, 12).tolist()
add("linear_regressor", "LinearRegressor", [x], {"coefficients": coefficients[:4], "intercepts": [0.5]})
add("linear_regressor_targets", "LinearRegressor", [x],
    {"coefficients": coefficients, "intercepts": [0.5, -0.25, 0.125], "targets": 3})
for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
    add(f"linear_classifier_{transform}", "LinearClassifier", [x],
        {"coefficients": coefficients, "intercepts": [0.5, -0.25, 0.125], "classlabels_ints": [3, 1, 2],
         "post_transform": transform}, num_outputs=2)
    add(f"linear_classifier_two_rows_{transform}", "LinearClassifier", [x],
        {"coefficients": coefficients[:8], "intercepts": [0.5, -0.25], "classlabels_ints": [3, 1],
         "post_transform": transform}, num_outputs=2)
for transform in ("NONE", "LOGISTIC"):
    add(f"linear_classifier_binary_{transform}", "LinearClassifier", [x],
        {"coefficients": coefficients[:4], "intercepts": [0.25], "classlabels_ints": [0, 1],
         "post_transform": transform}, num_outputs=2)
add("linear_classifier_strings", "LinearClassifier", [x],
    {"coefficients": coefficients, "intercepts": [0.5, -0.25, 0.125], "classlabels_strings": ["a", "b", "c"]},
    num_outputs=2)

vectors = random(11, 6, 4)
for kernel, parameters in [("LINEAR", [0, 0, 0]), ("RBF", [0.4, 0, 0]), ("POLY", [0.5, 1, 3]), ("SIGMOID", [0.3, 0.2, 0])]:
    machine = {"kernel_type": kernel, "kernel_params": [float(p) for p in parameters],
               "support_vectors": vectors.reshape(-1).tolist()}
    add(f"svm_regressor_{kernel}", "SVMRegressor", [x],
        {**machine, "coefficients": random(12, 6).tolist(), "n_supports": 6, "rho": [0.3]})
    three = {**machine, "vectors_per_class": [2, 3, 1], "coefficients": random(13, 12).tolist(),
             "rho": [0.1, -0.2, 0.05], "classlabels_ints": [0, 1, 2]}
    add(f"svm_classifier_{kernel}", "SVMClassifier", [x], three, num_outputs=2)
    add(f"svm_classifier_likely_{kernel}", "SVMClassifier", [x],
        {**three, "prob_a": [-1.5, -2.0, -1.0], "prob_b": [0.1, 0.2, -0.1]}, num_outputs=2)
    two = {**machine, "vectors_per_class": [2, 4], "coefficients": random(14, 6).tolist(), "rho": [0.1],
           "classlabels_ints": [0, 1]}
    add(f"svm_classifier_two_{kernel}", "SVMClassifier", [x], two, num_outputs=2)
    add(f"svm_classifier_two_likely_{kernel}", "SVMClassifier", [x], {**two, "prob_a": [-1.5], "prob_b": [0.1]},
        num_outputs=2)
add("svm_one_class", "SVMRegressor", [x],
    {"kernel_type": "RBF", "kernel_params": [0.4, 0.0, 0.0], "support_vectors": vectors.reshape(-1).tolist(),
     "coefficients": random(12, 6).tolist(), "n_supports": 6, "rho": [0.3], "one_class": 1})

for norm in ("MAX", "L1", "L2"):
    add(f"normalizer_{norm}", "Normalizer", [np.concatenate([np.abs(x), np.zeros((1, 4), np.float32)])], {"norm": norm})
add("scaler", "Scaler", [x], {"offset": [0.1, 0.2, 0.3, 0.4], "scale": [1.0, 2.0, 3.0, 4.0]})
add("scaler_scalar", "Scaler", [ints(15, 3, 4)], {"offset": [0.5], "scale": [2.0]})
add("binarizer", "Binarizer", [x], {"threshold": 0.25})
add("imputer", "Imputer", [missing], {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": float("nan")})
add("imputer_integers", "Imputer", [ints(16, 3, 4, high=3)],
    {"imputed_value_int64s": [7], "replaced_value_int64": 1})
add("feature_vectorizer", "FeatureVectorizer", [x, random(17, 7, 2)], {"inputdimensions": [4, 2]})
add("array_feature_extractor", "ArrayFeatureExtractor", [x, np.array([[3, 0]], np.int64)])
add("one_hot_encoder", "OneHotEncoder", [ints(18, 3, 2, high=4)], {"cats_int64s": [2, 0, 1]})
words = np.array([["cat", "dog"], ["owl", "cat"]], dtype=object)
add("one_hot_encoder_strings", "OneHotEncoder", [words], {"cats_strings": ["cat", "owl"]})
add("label_encoder_1", "LabelEncoder", [words], {"classes_strings": ["cat", "owl"], "default_int64": 9}, opset=1)
add("label_encoder_1_back", "LabelEncoder", [ints(19, 5, high=4)],
    {"classes_strings": ["cat", "owl"], "default_string": "none"}, opset=1)
add("label_encoder_2", "LabelEncoder", [words],
    {"keys_strings": ["cat", "dog"], "values_floats": [1.5, 2.5], "default_float": -1.0}, opset=2)
add("label_encoder_numbers", "LabelEncoder", [ints(20, 3, 5, high=5)],
    {"keys_int64s": [4, 0, 2], "values_int64s": [40, 100, 20], "default_int64": -7})
add("label_encoder_floats", "LabelEncoder", [np.array([1, np.nan, 0, 2, 3], np.float32)],
    {"keys_floats": [1.0, float("nan"), 2.0], "values_int64s": [1, 99, 2], "default_int64": -7})
add("label_encoder_nan", "LabelEncoder", [np.array([1, np.nan, 0, 2, 3], np.float32)],
    {"keys_floats": [1.0, float("nan"), 2.0], "values_int64s": [1, 99, 2], "default_int64": -7}, opset=4)
add("label_encoder_4", "LabelEncoder", [ints(20, 3, 5, high=5)],
    {"keys_tensor": np.array([4, 0, 2], np.int64), "values_tensor": np.array([0.5, 0.25, 0.125], np.float64),
     "default_tensor": np.array([-1], np.float64)}, opset=4)
add("category_mapper", "CategoryMapper", [words], {"cats_strings": ["cat", "dog"], "cats_int64s": [5, 6]}, opset=1)
add("category_mapper_back", "CategoryMapper", [ints(21, 4, low=4, high=8)],
    {"cats_strings": ["cat", "dog"], "cats_int64s": [5, 6]}, opset=1)
