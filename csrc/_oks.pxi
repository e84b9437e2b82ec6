# Included by _kernels.pyx: its way into oks.c, COCO's keypoint matching.

cdef extern from "oks.h" nogil:
    ctypedef struct HaeOksPersons:
        int images, joints
        const double *variances
        const int64_t *truth_start
        const double *truth
        const double *bounds
        const double *truth_area
        const int64_t *found_start
        const double *found

    ctypedef struct HaeOksRules:
        int ranges, thresholds
        const double *threshold
        const uint8_t *truth_ignored
        const uint8_t *truth_crowd
        const uint8_t *truth_counts
        const uint8_t *found_outside

    int64_t hae_oks_count(const HaeOksPersons *)
    void hae_oks_exponents(const HaeOksPersons *, double *)
    int hae_oks_match(const HaeOksPersons *, const double *, const HaeOksRules *, uint8_t *)


cdef HaeOksPersons _oks_persons(persons):
    """persons: hrnetae.evaluation.oks.Persons; the caller keeps it alive."""
    cdef HaeOksPersons view
    cdef const double[::1] variances = persons.variances, area = persons.truth_area
    cdef const int64_t[::1] truth_start = persons.truth_start, found_start = persons.found_start
    cdef const double[:, :, ::1] truth = persons.truth, found = persons.found
    cdef const double[:, ::1] bounds = persons.bounds
    view.images = <int>truth_start.shape[0] - 1
    view.joints = <int>variances.shape[0]
    view.variances = &variances[0]
    view.truth_start = &truth_start[0]
    view.found_start = &found_start[0]
    view.truth = &truth[0, 0, 0] if truth.shape[0] else NULL
    view.bounds = &bounds[0, 0] if truth.shape[0] else NULL
    view.truth_area = &area[0] if truth.shape[0] else NULL
    view.found = &found[0, 0, 0] if found.shape[0] else NULL
    return view


def oks_exponents(persons):
    """What the similarities take the exponential of, float64 (oks.h). persons: hrnetae.evaluation.oks.Persons."""
    cdef HaeOksPersons view = _oks_persons(persons)
    exponents = np.empty(hae_oks_count(&view), np.float64)
    cdef double[::1] out = exponents
    if out.shape[0]:
        with nogil:
            hae_oks_exponents(&view, &out[0])
    return exponents


def oks_match(persons, rules, const double[::1] exponentials not None):
    """flags (ranges, thresholds, found) uint8: bit 0 matched, bit 1 ignored. rules: hrnetae.evaluation.oks.Rules."""
    cdef HaeOksPersons view = _oks_persons(persons)
    cdef HaeOksRules how
    cdef const double[::1] threshold = rules.threshold
    cdef const uint8_t[:, ::1] ignored = rules.truth_ignored, outside = rules.found_outside
    cdef const uint8_t[::1] crowd = rules.truth_crowd, counts = rules.truth_counts
    cdef int failed
    flags = np.zeros((outside.shape[0], threshold.shape[0], outside.shape[1]), np.uint8)
    cdef uint8_t[:, :, ::1] out = flags
    if not out.shape[2]:
        return flags
    how.ranges = <int>outside.shape[0]
    how.thresholds = <int>threshold.shape[0]
    how.threshold = &threshold[0]
    how.truth_ignored = &ignored[0, 0] if crowd.shape[0] else NULL
    how.truth_crowd = &crowd[0] if crowd.shape[0] else NULL
    how.truth_counts = &counts[0] if crowd.shape[0] else NULL
    how.found_outside = &outside[0, 0]
    with nogil:
        failed = hae_oks_match(&view, &exponentials[0] if exponentials.shape[0] else NULL, &how, &out[0, 0, 0])
    if failed:
        raise MemoryError
    return flags
