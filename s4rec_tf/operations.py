"""Operations of a SavedModel: which ones loading and answering can run, and may.

TensorFlow runs whatever a graph holds with the rights of the process that loaded it:
some operations read and write files, open connections or call Python. What the saver
writes with is left out of account, since nothing that loads a model calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")

REACHING_OUT = frozenset(
    """
    CSVDataset CSVDatasetV2 CacheDataset CacheDatasetV2 ConfigureDistributedTPU
    CreateSummaryDbWriter CreateSummaryFileWriter DataServiceDataset
    DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 DebugIdentity
    DebugIdentityV2 DebugIdentityV3 DecodeProtoV2 DistributedSave EagerPyFunc
    EncodeProto ExperimentalCSVDataset ExperimentalLMDBDataset
    ExperimentalMatchingFilesDataset ExperimentalSqlDataset FixedLengthRecordDataset
    FixedLengthRecordDatasetV2 FixedLengthRecordReader FixedLengthRecordReaderV2
    IdentityReader IdentityReaderV2 ImportEvent LMDBDataset LMDBReader
    ListSnapshotChunksDataset LoadDataset MatchingFiles MatchingFilesDataset
    MergeV2Checkpoints Print PrintV2 PyFunc PyFuncStateless ReadFile Recv
    RegisterDataset RegisterDatasetV2 RemoteCall RpcCall RpcClient RpcServer
    RpcServerRegister RpcServerStart Save SaveDataset SaveDatasetV2 SaveSlices SaveV2
    Send ShutdownDistributedTPU SnapshotDataset SnapshotDatasetV2 SqlDataset
    TFRecordDataset TFRecordDatasetV2 TFRecordReader TFRecordReaderV2 TextLineDataset
    TextLineReader TextLineReaderV2 WholeFileReader WholeFileReaderV2 WriteAudioSummary
    WriteFile WriteGraphSummary WriteHistogramSummary WriteImageSummary
    WriteRawProtoSummary WriteScalarSummary WriteSummary _HostRecv _HostSend _Recv _Send
    """.split()
)
"""Operations that reach out of the process: files, connections, Python."""

EXPORTED = frozenset(
    """
    Abs Add AddN AddV2 All Any ArgMax ArgMin AsString Assert AssignVariableOp
    BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd Bincount Bitcast BroadcastTo
    Bucketize Case Cast Ceil ConcatV2 Const Conv2D Cos Cumprod Cumsum
    DepthwiseConv2dNative Diag DivNoNan DynamicPartition DynamicStitch Einsum Elu
    EmptyTensorList EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 FFT Fill Floor
    FloorDiv FloorMod GatherNd GatherV2 Greater GreaterEqual HashTableV2 IFFT IRFFT
    Identity IdentityN If InitializeTableFromTextFileV2 InitializeTableV2
    InvertPermutation IsFinite IsInf IsNan LeakyRelu Less LessEqual Log Log1p LogSoftmax
    LogicalAnd LogicalNot LogicalOr LookupTableFindV2 LookupTableImportV2
    LookupTableSizeV2 LowerBound MatMul MatrixBandPart MatrixDiagPartV3 MatrixDiagV3
    MatrixSetDiagV3 Max MaxPool Maximum Mean Minimum Mul Neg NoOp NotEqual OneHot
    OnesLike Pack Pad PadV2 ParseExampleV2 PartitionedCall Placeholder
    PlaceholderWithDefault Pow Prod RFFT RaggedGather RaggedRange RaggedTensorToTensor
    Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResourceGather
    ResourceGatherNd RestoreV2 ReverseSequence ReverseV2 Roll Round Rsqrt
    Scann>ScannSearchBatched Scann>TensorsToScann ScatterNd SegmentMax SegmentMean
    SegmentSum Select SelectV2 Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus
    Softsign Split SplitV Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall
    StatelessIf StatelessWhile StaticRegexFullMatch StaticRegexReplace StopGradient
    StridedSlice StringJoin StringLength StringStrip StringToNumber Sub Sum Tanh
    TensorListConcatV2 TensorListFromTensor TensorListGetItem TensorListLength
    TensorListReserve TensorListResize TensorListSetItem TensorListStack
    TensorScatterAdd TensorScatterUpdate Tile TopKV2 Transpose Unique UniqueV2
    UniqueWithCounts Unpack UnsortedSegmentMax UnsortedSegmentSum UpperBound VarHandleOp
    VarIsInitializedOp Where While ZerosLike
    """.split()
)
"""Operations that an export of this project may hold: they compute, and no more.

Beside arithmetic, the tables and variables that are read from the version's folder.
"""


def reachable_operations(path: Path) -> set[str]:
    """Operations that loading a SavedModel and calling its signatures can run.

    Args:
        path: the model's folder.

    Raises:
        OSError: if it has no `saved_model.pb`.
        ValueError: if the file is no SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    try:
        model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{file} is not a SavedModel: {error}") from error
    return set().union(*(_reachable(graph) for graph in model.meta_graphs))


def _reachable(meta_graph: Any) -> set[str]:
    """Operations that a graph's signatures, initializers and restoring depend on."""
    graph = meta_graph.graph_def
    nodes = {node.name: node for node in graph.node}
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    gradients = {g.function_name: g.gradient_func for g in graph.library.gradient}
    waiting = [_node_name(name) for name in _roots(meta_graph)]
    names = set(waiting)
    called: set[str] = set()
    found: set[str] = set()
    while waiting:
        node = nodes.get(waiting.pop())
        if node is None:
            continue
        found |= _operations_of(node, functions, gradients, called)
        inputs = {_node_name(name) for name in node.input} - names
        names |= inputs
        waiting += inputs
    return found


def _roots(meta_graph: Any) -> Iterator[str]:
    for signature in meta_graph.signature_def.values():
        yield from (info.name for info in signature.outputs.values())
    for key in _INIT_COLLECTIONS:
        yield from meta_graph.collection_def[key].node_list.value
    yield meta_graph.saver_def.restore_op_name


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _operations_of(
    node: Any,
    functions: Mapping[str, Iterable[Any]],
    gradients: Mapping[str, str],
    called: set[str],
) -> set[str]:
    """The operation of a node, and all those of functions that it names.

    Args:
        node: of a graph or a function.
        functions: nodes of every function, by its name.
        gradients: the function that is another's gradient, by the other's name.
        called: functions that have been looked at; more are added.
    """
    found = set() if node.op in functions else {node.op}
    names = {node.op, *(name for attr in node.attr.values() for name in _named(attr))}
    names |= {gradients[name] for name in names if name in gradients}
    for name in (names & functions.keys()) - called:
        called.add(name)
        for inner in functions[name]:
            found |= _operations_of(inner, functions, gradients, called)
    return found


def _named(attr: Any) -> Iterator[str]:
    """Names of the functions in an attribute."""
    yield attr.func.name
    for func in attr.list.func:
        yield func.name
