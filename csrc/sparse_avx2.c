/* The sparse way for x86-64 processors with AVX2, FMA, F16C, BMI, BMI2, LZCNT, POPCNT. */
#include "dispatch.h"

#ifdef HAE_X86_LEVELS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt")
#endif
#define LEVEL(name) name##_avx2
#include "sparse_body.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#else
typedef int hae_nothing_to_compile;
#endif
