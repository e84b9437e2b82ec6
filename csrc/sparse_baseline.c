/* The sparse way for any processor that the compiler builds for. */
#define LEVEL(name) name##_baseline
#include "sparse_body.h"
