// Finds a SignatureDef's tensors in a serialized MetaGraphDef, without protobuf.
//
// MetaGraphDef.signature_def is field 5, a map; SignatureDef.inputs and .outputs are 1 and 2, maps
// to TensorInfo, whose name is 1 (tensorflow/core/protobuf/meta_graph.proto). A map is a repeated
// message with key 1 and value 2 (protobuf's encoding guide).
#ifndef PORTPROOF_SIGNATURE_DEF_H
#define PORTPROOF_SIGNATURE_DEF_H

#include <stdint.h>
#include <string.h>

typedef struct {
  const uint8_t *data;
  size_t size;
} Bytes;

static uint64_t proto_varint(Bytes *in) {
  uint64_t value = 0;
  for (int shift = 0; in->size && shift < 64; shift += 7) {
    uint8_t byte = *in->data++;
    in->size--;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) break;
  }
  return value;
}

// Moves `in` past its next field. Its number, and for messages and strings its content; 0 at the
// end and where the bytes are no message.
static unsigned proto_next(Bytes *in, Bytes *content) {
  if (!in->size) return 0;
  uint64_t tag = proto_varint(in), length = 0;
  content->data = NULL;
  content->size = 0;
  switch (tag & 7) {
    case 0: proto_varint(in); break;
    case 1: length = 8; break;
    case 2: length = proto_varint(in); break;
    case 5: length = 4; break;
    default: return 0;
  }
  if (length > in->size) return 0;
  content->data = in->data;
  content->size = (size_t)length;
  in->data += length;
  in->size -= (size_t)length;
  return (unsigned)(tag >> 3);
}

static int bytes_equal(Bytes bytes, const char *text) {
  return bytes.size == strlen(text) && !memcmp(bytes.data, text, bytes.size);
}

static Bytes proto_field(Bytes in, unsigned number) {
  Bytes content;
  unsigned found;
  while ((found = proto_next(&in, &content))) {
    if (found == number) return content;
  }
  return (Bytes){NULL, 0};
}

// The next entry of the map that is field `number`: key and value. 0 at the end.
static int proto_entry(Bytes *in, unsigned number, Bytes *key, Bytes *value) {
  Bytes content;
  unsigned found;
  while ((found = proto_next(in, &content))) {
    if (found == number) {
      *key = proto_field(content, 1);
      *value = proto_field(content, 2);
      return 1;
    }
  }
  return 0;
}

// A map's value by its key; no data where there is none.
static Bytes proto_map_get(Bytes in, unsigned number, const char *wanted) {
  Bytes key, value;
  while (proto_entry(&in, number, &key, &value)) {
    if (bytes_equal(key, wanted)) return value;
  }
  return (Bytes){NULL, 0};
}

#endif
