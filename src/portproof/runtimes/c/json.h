// Just enough JSON to read a request and a safetensors header: objects, strings, whole numbers.
// The reader walks the text; nothing is copied but the strings that are asked for.
#ifndef PORTPROOF_JSON_H
#define PORTPROOF_JSON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *json_space(const char *at) {
  while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ',' || *at == ':') at++;
  return at;
}

// The end of a string that starts at its opening quote.
static const char *json_string_end(const char *at) {
  for (at++; *at && *at != '"'; at++) {
    if (*at == '\\' && at[1]) at++;
  }
  return *at ? at + 1 : at;
}

// The end of any value.
static const char *json_end(const char *at) {
  int depth = 0;
  do {
    at = json_space(at);
    if (*at == '"') {
      at = json_string_end(at);
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      depth--, at++;
    } else {
      while (*at && !strchr(" \t\r\n,:{}[]\"", *at)) at++;
    }
  } while (depth > 0 && *at);
  return at;
}

static char *json_put_utf8(char *out, unsigned code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xC0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out++ = (char)(0xE0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    *out++ = (char)(0x80 | (code & 0x3F));
  } else {
    *out++ = (char)(0xF0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3F));
    *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    *out++ = (char)(0x80 | (code & 0x3F));
  }
  return out;
}

static unsigned json_hex(const char *at) {
  char digits[5] = {0};
  strncpy(digits, at, 4);
  return (unsigned)strtoul(digits, NULL, 16);
}

// A string's text, to be freed. `at` is its opening quote.
static char *json_string(const char *at) {
  const char *end = json_string_end(at);
  char *text = malloc((size_t)(end - at) + 1), *out = text;  // unescaped, it is never longer
  for (at++; at < end - 1; at++) {
    if (*at != '\\') {
      *out++ = *at;
      continue;
    }
    at++;
    if (*at == 'u' && at + 4 < end) {
      unsigned code = json_hex(at + 1);
      at += 4;
      if (code >= 0xD800 && code < 0xDC00 && at[1] == '\\' && at[2] == 'u') {
        code = 0x10000 + ((code - 0xD800) << 10) + (json_hex(at + 3) - 0xDC00);
        at += 6;
      }
      out = json_put_utf8(out, code);
    } else {
      const char *found = strchr("n\nt\tr\rb\bf\f", *at);
      *out++ = found ? found[1] : *at;
    }
  }
  *out = 0;
  return text;
}

// The value of the next member of an object, and its key in `*key`, to be freed; NULL at its end.
// `*at` is the object's opening brace at first, and moves on.
static const char *json_member(const char **at, char **key) {
  const char *here = json_space(**at == '{' ? *at + 1 : *at);
  if (*here != '"') return NULL;
  *key = json_string(here);
  const char *value = json_space(json_string_end(here));
  *at = json_end(value);
  return value;
}

// The value of an object's member, or NULL.
static const char *json_get(const char *object, const char *wanted) {
  char *key;
  const char *value;
  while ((value = json_member(&object, &key))) {
    int found = !strcmp(key, wanted);
    free(key);
    if (found) return value;
  }
  return NULL;
}

// A text as a JSON string.
static void json_print(FILE *file, const char *text) {
  putc('"', file);
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      fprintf(file, "\\%c", c);
    } else if (c < 0x20) {
      putc(' ', file);
    } else {
      putc(c, file);
    }
  }
  putc('"', file);
}

#endif
