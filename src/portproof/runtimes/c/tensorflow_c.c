// Runs SavedModels through TensorFlow's C API: the one that the Go, Rust, Java and C# bindings wrap.
// A JSON line and tensors in, a JSON line and tensors out, and no Python.
#include <stdarg.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "signature_def.h"
#include "tensorflow/c/c_api.h"

#define MAX_TENSORS 64
#define PROTOCOL 3  // as runtimes/protocol.py has it, which describes the messages

static char problem[1024];

static int fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
  return 0;
}

// ---- safetensors: 8 bytes of header length, a JSON header, the data

static const struct {
  const char *name;
  TF_DataType type;
} DTYPES[] = {
    {"F64", TF_DOUBLE}, {"F32", TF_FLOAT},  {"F16", TF_HALF},   {"BF16", TF_BFLOAT16},
    {"I64", TF_INT64},  {"I32", TF_INT32},  {"I16", TF_INT16},  {"I8", TF_INT8},
    {"U64", TF_UINT64}, {"U32", TF_UINT32}, {"U16", TF_UINT16}, {"U8", TF_UINT8},
    {"BOOL", TF_BOOL},
};
enum { DTYPE_COUNT = sizeof DTYPES / sizeof *DTYPES };

static TF_Tensor *tensor_from(const char *info, const char *data, size_t size) {
  char *dtype = json_string(json_get(info, "dtype"));
  int known = 0;
  while (known < DTYPE_COUNT && strcmp(DTYPES[known].name, dtype)) known++;
  free(dtype);
  if (known == DTYPE_COUNT) return NULL;
  int64_t shape[16];
  int rank = 0;
  const char *at = json_space(json_get(info, "shape") + 1);
  for (; *at != ']' && rank < 16; at = json_space(at)) shape[rank++] = strtoll(at, (char **)&at, 10);
  char *next;
  size_t start = strtoull(json_space(json_get(info, "data_offsets") + 1), &next, 10);
  size_t end = strtoull(json_space(next), NULL, 10);
  if (start > end || end > size) return NULL;
  TF_Tensor *tensor = TF_AllocateTensor(DTYPES[known].type, shape, rank, end - start);
  if (tensor) memcpy(TF_TensorData(tensor), data + start, end - start);
  return tensor;
}

// The header, its length in front of it, to be freed; NULL where a tensor cannot be carried. The
// sizes are those of the header and of the tensors.
static char *header_of(int count, char **names, TF_Tensor **tensors, size_t *size, size_t *data) {
  size_t capacity = 24;
  for (int i = 0; i < count; i++) {
    if (strpbrk(names[i], "\"\\")) {
      fail("output %s has a name that needs escaping", names[i]);
      return NULL;
    }
    capacity += strlen(names[i]) + 64 + 24 * (size_t)(TF_NumDims(tensors[i]) + 2);
  }
  char *content = malloc(capacity), *header = content + 8;
  size_t length = (size_t)sprintf(header, "{"), offset = 0;
  for (int i = 0; i < count; i++) {
    int known = 0;
    while (known < DTYPE_COUNT && DTYPES[known].type != TF_TensorType(tensors[i])) known++;
    if (known == DTYPE_COUNT) {
      fail("output %s has a dtype that cannot be carried", names[i]);
      free(content);
      return NULL;
    }
    length += (size_t)sprintf(header + length, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                              i ? "," : "", names[i], DTYPES[known].name);
    for (int d = 0; d < TF_NumDims(tensors[i]); d++) {
      length += (size_t)sprintf(header + length, "%s%lld", d ? "," : "",
                                (long long)TF_Dim(tensors[i], d));
    }
    size_t end = offset + TF_TensorByteSize(tensors[i]);
    length += (size_t)sprintf(header + length, "],\"data_offsets\":[%zu,%zu]}", offset, end);
    offset = end;
  }
  length += (size_t)sprintf(header + length, "}");
  while (length % 8) header[length++] = ' ';
  uint64_t said = length;  // every machine that TensorFlow supports is little-endian
  memcpy(content, &said, sizeof said);
  *size = 8 + length;
  *data = offset;
  return content;
}

// ---- the model

static struct {
  char *path;
  TF_Graph *graph;
  TF_Session *session;
  TF_Buffer *meta;
  double seconds;  // that loading it took
} model;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int load(const char *path, TF_Status *status) {
  if (model.path && !strcmp(model.path, path)) return 1;
  double started = now();
  if (model.path) {
    TF_CloseSession(model.session, status);
    TF_DeleteSession(model.session, status);
    TF_DeleteGraph(model.graph);
    TF_DeleteBuffer(model.meta);
    free(model.path);
    model.path = NULL;
  }
  const char *tags[] = {"serve"};
  TF_SessionOptions *options = TF_NewSessionOptions();
  model.graph = TF_NewGraph();
  model.meta = TF_NewBuffer();
  model.session = TF_LoadSessionFromSavedModel(options, NULL, path, tags, 1, model.graph,
                                               model.meta, status);
  TF_DeleteSessionOptions(options);
  if (TF_GetCode(status) != TF_OK) return fail("%s", TF_Message(status));
  model.path = strdup(path);
  model.seconds = now() - started;
  return 1;
}

// The graph's tensor that a TensorInfo names: "operation:index".
static int find(Bytes info, TF_Output *found) {
  Bytes name = proto_field(info, 1);
  char text[512];
  snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
  char *colon = strrchr(text, ':');
  if (!colon) return fail("the signature names no tensor: %s", text);
  *colon = 0;
  found->oper = TF_GraphOperationByName(model.graph, text);
  found->index = atoi(colon + 1);
  return found->oper ? 1 : fail("the graph has no operation %s", text);
}

typedef struct {
  TF_Output at[MAX_TENSORS];
  TF_Tensor *tensors[MAX_TENSORS];
  char *names[MAX_TENSORS];
  int count;
} Tensors;

static void release(Tensors *tensors) {
  for (int i = 0; i < tensors->count; i++) {
    if (tensors->tensors[i]) TF_DeleteTensor(tensors->tensors[i]);
    free(tensors->names[i]);
  }
}

static int read_inputs(const char *content, size_t size, Bytes signature, Tensors *inputs) {
  uint64_t length = 0;
  if (size >= 8) memcpy(&length, content, sizeof length);
  if (size < 8 || length > size - 8) return fail("the inputs are not whole");
  const char *data = content + 8 + length, *value;
  char *header = strndup(content + 8, length), *key;
  const char *at = header;
  int good = 1;
  while (good && (value = json_member(&at, &key))) {
    Bytes info = proto_map_get(signature, 1, key);
    int n = inputs->count;
    if (n == MAX_TENSORS || !info.data) {
      good = fail("the signature has no input %s", key);
    } else if (find(info, &inputs->at[n])) {
      inputs->tensors[n] = tensor_from(value, data, size - 8 - length);
      inputs->count++;
      if (!inputs->tensors[n]) good = fail("input %s cannot be carried", key);
    } else {
      good = 0;
    }
    free(key);
  }
  free(header);
  return good;
}

static int find_outputs(Bytes signature, Tensors *outputs) {
  Bytes key, info;
  while (proto_entry(&signature, 2, &key, &info)) {
    int n = outputs->count;
    if (n == MAX_TENSORS) return fail("more than %d outputs", MAX_TENSORS);
    if (!find(info, &outputs->at[n])) return 0;
    outputs->names[n] = strndup((const char *)key.data, key.size);
    outputs->tensors[n] = NULL;
    outputs->count++;
  }
  return outputs->count ? 1 : fail("the signature has no outputs");
}

static FILE *answers;

static int answer(Tensors *outputs, double seconds) {
  size_t size, data;
  char *header = header_of(outputs->count, outputs->names, outputs->tensors, &size, &data);
  if (!header) return 0;
  fprintf(answers,
          "{\"seconds\": %.9f, \"load\": %.9f, \"backend\": \"libtensorflow\", \"size\": %zu}\n",
          seconds, model.seconds, size + data);
  fwrite(header, 1, size, answers);
  for (int i = 0; i < outputs->count; i++) {
    TF_Tensor *tensor = outputs->tensors[i];
    fwrite(TF_TensorData(tensor), 1, TF_TensorByteSize(tensor), answers);
  }
  free(header);
  return 1;
}

static int infer(const char *wanted, const char *content, size_t size, TF_Status *status) {
  Bytes meta = {model.meta->data, model.meta->length};
  Bytes signature = proto_map_get(meta, 5, wanted);
  if (!signature.data) return fail("the SavedModel has no signature %s", wanted);
  static Tensors inputs, outputs;
  memset(&inputs, 0, sizeof inputs);
  memset(&outputs, 0, sizeof outputs);
  int good = read_inputs(content, size, signature, &inputs) && find_outputs(signature, &outputs);
  if (good) {
    double started = now();
    TF_SessionRun(model.session, NULL, inputs.at, inputs.tensors, inputs.count, outputs.at,
                  outputs.tensors, outputs.count, NULL, 0, NULL, status);
    double seconds = now() - started;
    good = TF_GetCode(status) == TF_OK ? answer(&outputs, seconds) : fail("%s", TF_Message(status));
  }
  release(&inputs);
  release(&outputs);
  return good;
}

int main(void) {
  answers = fdopen(dup(1), "wb");
  dup2(2, 1);  // what the model prints is no answer
  fprintf(answers, "{\"ready\": {\"libtensorflow\": \"%s\"}, \"protocol\": %d}\n", TF_Version(),
          PROTOCOL);
  fflush(answers);
  TF_Status *status = TF_NewStatus();
  char *line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    char *path = json_string(json_get(line, "artifact"));
    char *signature = json_string(json_get(line, "signature"));
    size_t size = strtoull(json_get(line, "size"), NULL, 10);
    char *content = malloc(size + 1);
    TF_SetStatus(status, TF_OK, "");
    int whole = fread(content, 1, size, stdin) == size || fail("the inputs are not whole");
    if (!whole || !load(path, status) || !infer(signature, content, size, status)) {
      fprintf(answers, "{\"error\": ");
      json_print(answers, problem);
      fprintf(answers, "}\n");
    }
    fflush(answers);
    free(path), free(signature), free(content);
  }
  return 0;
}
