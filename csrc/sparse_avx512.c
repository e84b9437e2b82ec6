/* The sparse way for x86-64 processors with AVX2, FMA, F16C, BMI, BMI2, LZCNT, POPCNT, AVX512F, AVX512BW, AVX512VL, AVX512DQ. */
#include "dispatch.h"

#ifdef HAE_X86_LEVELS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl,avx512dq")
#endif
#define LEVEL(name) name##_avx512
#include "sparse_body.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#else
typedef int hae_nothing_to_compile;
#endif
