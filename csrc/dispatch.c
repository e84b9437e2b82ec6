/* What this processor can do. */
#include "dispatch.h"

int hae_has_level(int level)
{
#ifdef HAE_X86_LEVELS
    __builtin_cpu_init();
    if (level == HAE_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt")
            && __builtin_cpu_supports("popcnt");
#endif
    return level == HAE_BASELINE;
}
