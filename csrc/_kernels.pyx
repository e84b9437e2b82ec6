"""The compiled kernels: Python's way into the C of this folder.

Arguments are checked by the callers (hrnetae.steps, hrnetae.decoder); nothing here can fail but for memory. Every
function takes whole tensors and releases the GIL while it works. float16 arrays come as their bits, uint16.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport free
from libc.string cimport memcpy

import threading

import numpy as np


cdef extern from "hrnetae.h" nogil:
    int HAE_REFERENCE, HAE_MMPOSE1

    ctypedef struct HaeMaps:
        const void *data
        int is_half, channels, height, width

    ctypedef struct HaeOutputs:
        const HaeMaps *plain
        const HaeMaps *flipped
        int scales, stages, tag_scale, tag_stage, joints
        const int32_t *flip_index
        const int32_t *joint_order

    ctypedef struct HaeSettings:
        int mode, max_num_people, nms_kernel
        double detection_threshold, tag_threshold
        int use_detection_val, ignore_too_much, tag_per_joint, adjust, refine, align_corners, use_udp
        int score_per_joint
        int resize, target_width, target_height, image_width, image_height, input_width, input_height
        float center_shift

    ctypedef struct HaeTags:
        const float *data
        ptrdiff_t joint, row, column, value
        int length

    ctypedef struct HaeHeat:
        const float *data
        int joints, height, width

    ctypedef struct HaeCandidates:
        float *value
        int32_t *x
        int32_t *y
        float *tag
        int joints, count, length

    ctypedef struct HaePersons:
        float *rows
        int count, joints, length

    ctypedef struct HaePoses:
        HaePersons persons
        float *scores
        int scores_per_person

    void hae_map_size(const HaeOutputs *, const HaeSettings *, int *, int *)
    int hae_project_heat(const HaeOutputs *, const HaeSettings *, float *)
    int hae_project_tags(const HaeOutputs *, const HaeSettings *, float *)
    int hae_heatmap_nms(const float *, int, int, int, int, float *)
    int hae_top_k(const float *, int, int, const HaeTags *, HaeCandidates *)
    int hae_assign(const double *, int, int, int32_t *)
    int hae_group(const HaeCandidates *, const int32_t *, const HaeSettings *, HaePersons *)
    void hae_adjust(HaePersons *, const HaeHeat *, const HaeSettings *)
    int hae_refine(HaePersons *, const HaeHeat *, const HaeTags *, const HaeSettings *)
    int hae_decode(const HaeOutputs *, const HaeSettings *, int, HaeArena *, HaePoses *)
    ctypedef struct HaeArena:
        pass
    HaeArena *hae_arena_make()
    void hae_arena_free(HaeArena *)
    void hae_poses_free(HaePoses *)


cdef extern from "dispatch.h" nogil:
    int hae_has_level(int)


def has_level(int level):
    """Whether this processor has a level: 0 baseline, 1 AVX2."""
    return bool(hae_has_level(level))


cdef HaeSettings _settings(params, image_size, map_size):
    """params: DecodeParams; map_size: the (width, height) of the network's finest map."""
    cdef HaeSettings s
    s.mode = HAE_MMPOSE1 if params.mode == "mmpose1" else HAE_REFERENCE
    s.max_num_people = params.max_num_people
    s.nms_kernel = params.nms_kernel
    s.detection_threshold = params.detection_threshold
    s.tag_threshold = params.tag_threshold
    s.use_detection_val = params.use_detection_val
    s.ignore_too_much = params.ignore_too_much
    s.tag_per_joint = params.tag_per_joint
    s.adjust = params.adjust
    s.refine = params.refine
    s.align_corners = params.align_corners
    s.use_udp = params.use_udp
    s.score_per_joint = params.score_per_joint
    s.center_shift = params.center_shift
    s.image_width, s.image_height = image_size
    if params.mode == "mmpose1":
        s.input_width, s.input_height = params.input_size or (4 * map_size[0], 4 * map_size[1])
        s.resize = params.restore_heatmap_size
        s.target_width = s.input_width
        s.target_height = s.input_height
    else:
        s.input_width = s.input_height = 0
        s.resize = params.project2image
        s.target_width = s.image_width
        s.target_height = s.image_height
    return s


_of_thread = threading.local()


cdef void _free_arena(object capsule) noexcept:
    hae_arena_free(<HaeArena *>PyCapsule_GetPointer(capsule, "hrnetae.arena"))


cdef HaeArena *_this_threads_arena() except NULL:
    """Made for a thread's first image, freed with the thread."""
    cdef HaeArena *arena
    try:
        return <HaeArena *>PyCapsule_GetPointer(_of_thread.arena, "hrnetae.arena")
    except AttributeError:
        arena = hae_arena_make()
        if not arena:
            raise MemoryError from None
        try:
            _of_thread.arena = PyCapsule_New(arena, "hrnetae.arena", _free_arena)
        except MemoryError:
            hae_arena_free(arena)
            raise
        return arena


cdef int _point_at(HaeMaps *maps, array) except -1:
    """array: (C, H, W) float32 or float16 without gaps; the caller keeps it alive."""
    cdef const float[:, :, ::1] single
    cdef const uint16_t[:, :, ::1] half
    maps.channels, maps.height, maps.width = array.shape
    maps.is_half = array.dtype.itemsize == 2
    if maps.is_half:
        half = array.view(np.uint16)
        maps.data = &half[0, 0, 0]
    else:
        single = array
        maps.data = &single[0, 0, 0]
    return 0


cdef HaeMaps *_point_at_all(arrays) except NULL:
    cdef HaeMaps *maps = <HaeMaps *>PyMem_Malloc(len(arrays) * sizeof(HaeMaps))
    if not maps:
        raise MemoryError
    try:
        for i, array in enumerate(arrays):
            _point_at(&maps[i], array)
    except BaseException:
        PyMem_Free(maps)
        raise
    return maps


cdef HaeOutputs _outputs(HaeMaps *plain, HaeMaps *flipped, maps, const int32_t[::1] flip_index,
                         const int32_t[::1] joint_order):
    cdef HaeOutputs outputs
    outputs.plain = plain
    outputs.flipped = flipped
    outputs.scales = maps.scales
    outputs.stages = maps.stages
    outputs.tag_scale = maps.tag_scale
    outputs.tag_stage = maps.tag_stage
    outputs.joints = <int>flip_index.shape[0]
    outputs.flip_index = &flip_index[0]
    outputs.joint_order = &joint_order[0]
    return outputs


cdef _joint_values(HaePersons persons, int first, int count):
    """Columns first..first+count-1 of every joint, as (P, K, count) float32."""
    values = np.empty((persons.count, persons.joints, count), np.float32)
    cdef float[:, :, ::1] view = values
    cdef Py_ssize_t row = 0, person, joint
    cdef int stride = 3 + persons.length
    for person in range(persons.count):
        for joint in range(persons.joints):
            memcpy(&view[person, joint, 0], persons.rows + row * stride + first, count * sizeof(float))
            row += 1
    return values


cdef _scores(HaePoses poses, bint per_joint):
    """(P,) float32, or (P, K) where there is one score per joint."""
    scores = np.empty(poses.persons.count * poses.scores_per_person, np.float32)
    cdef float[::1] view = scores
    if view.shape[0]:
        memcpy(&view[0], poses.scores, view.shape[0] * sizeof(float))
    return scores.reshape(poses.persons.count, poses.scores_per_person) if per_joint else scores


cdef HaeTags _tags_view(const float[:, :, :, :] tags):
    """tags: (K or 1, H, W, L) with any strides."""
    cdef HaeTags view
    view.data = &tags[0, 0, 0, 0]
    view.joint = tags.strides[0] // <Py_ssize_t>sizeof(float) if tags.shape[0] > 1 else 0
    view.row = tags.strides[1] // <Py_ssize_t>sizeof(float)
    view.column = tags.strides[2] // <Py_ssize_t>sizeof(float)
    view.value = tags.strides[3] // <Py_ssize_t>sizeof(float)
    view.length = <int>tags.shape[3]
    return view


cdef HaeHeat _heat_view(const float[:, :, ::1] heat):
    cdef HaeHeat view
    view.data = &heat[0, 0, 0]
    view.joints = <int>heat.shape[0]
    view.height = <int>heat.shape[1]
    view.width = <int>heat.shape[2]
    return view


cdef HaePersons _persons_view(float[:, :, ::1] persons):
    cdef HaePersons view
    view.rows = &persons[0, 0, 0] if persons.shape[0] else NULL
    view.count = <int>persons.shape[0]
    view.joints = <int>persons.shape[1]
    view.length = <int>persons.shape[2] - 3
    return view


def decode(maps, flip_index, joint_order, params, image_size, int level):
    """All steps for one image.

    maps: hrnetae.outputs.OutputMaps; flip_index, joint_order: (K,) int32.
    level: of the instructions, one that has_level; below 0 for the dense way. The answer does not depend on it.
    Returns keypoints (P, K, 3), scores (P,) or (P, K), tags (P, K, L), float32, in image pixels.
    """
    cdef HaeMaps *plain = NULL
    cdef HaeMaps *flipped = NULL
    cdef HaeOutputs outputs
    cdef HaeSettings settings
    cdef HaePoses poses
    cdef int failed
    cdef HaeArena *arena = _this_threads_arena()
    if level >= 0 and not hae_has_level(level):
        raise ValueError(f"level: {level}, expected one that this processor has")
    try:
        plain = _point_at_all(maps.plain)
        if maps.flipped is not None:
            flipped = _point_at_all(maps.flipped)
        outputs = _outputs(plain, flipped, maps, flip_index, joint_order)
        settings = _settings(params, image_size, maps.map_size)
        with nogil:
            failed = hae_decode(&outputs, &settings, level, arena, &poses)
        if failed:
            raise MemoryError
        try:
            return (
                _joint_values(poses.persons, 0, 3),
                _scores(poses, params.score_per_joint),
                _joint_values(poses.persons, 3, poses.persons.length),
            )
        finally:
            hae_poses_free(&poses)
    finally:
        PyMem_Free(plain)
        PyMem_Free(flipped)


def project(maps, flip_index, joint_order, params, image_size):
    """Steps 1 and 2 alone: heat (K, H, W) and tags (K or 1, L, H, W), float32."""
    cdef HaeMaps *plain = _point_at_all(maps.plain)
    cdef HaeMaps *flipped = NULL
    cdef HaeOutputs outputs
    cdef HaeSettings settings
    cdef int width, height, failed
    cdef float[:, :, ::1] heat_view
    cdef float[:, :, :, ::1] tags_view
    try:
        if maps.flipped is not None:
            flipped = _point_at_all(maps.flipped)
        outputs = _outputs(plain, flipped, maps, flip_index, joint_order)
        settings = _settings(params, image_size, maps.map_size)
        hae_map_size(&outputs, &settings, &width, &height)
        joints = outputs.joints
        heat = np.empty((joints, height, width), np.float32)
        tags = np.empty((joints if params.tag_per_joint else 1, 2 if flipped else 1, height, width), np.float32)
        heat_view = heat
        tags_view = tags
        with nogil:
            failed = (hae_project_heat(&outputs, &settings, &heat_view[0, 0, 0])
                      or hae_project_tags(&outputs, &settings, &tags_view[0, 0, 0, 0]))
        if failed:
            raise MemoryError
        return heat, tags
    finally:
        PyMem_Free(plain)
        PyMem_Free(flipped)


def heatmap_nms(const float[:, :, ::1] heat not None, int kernel, float[:, :, ::1] peaks not None):
    """Step 3: fills peaks, (K, H, W) like heat."""
    cdef int joints = <int>heat.shape[0], height = <int>heat.shape[1], width = <int>heat.shape[2], failed
    with nogil:
        failed = hae_heatmap_nms(&heat[0, 0, 0], joints, height, width, kernel, &peaks[0, 0, 0])
    if failed:
        raise MemoryError


def top_k(const float[:, :, ::1] peaks not None, const float[:, :, :, :] tags not None, float[:, ::1] value not None,
          int32_t[:, ::1] x not None, int32_t[:, ::1] y not None, float[:, :, ::1] tag not None):
    """Step 4: fills value, x, y (K, M) and tag (K, M, L), M at most H * W."""
    cdef HaeTags tags_of = _tags_view(tags)
    cdef HaeCandidates candidates
    cdef int height = <int>peaks.shape[1], width = <int>peaks.shape[2], failed
    candidates.value = &value[0, 0]
    candidates.x = &x[0, 0]
    candidates.y = &y[0, 0]
    candidates.tag = &tag[0, 0, 0]
    candidates.joints = <int>value.shape[0]
    candidates.count = <int>value.shape[1]
    candidates.length = <int>tag.shape[2]
    with nogil:
        failed = hae_top_k(&peaks[0, 0, 0], height, width, &tags_of, &candidates)
    if failed:
        raise MemoryError


def assign(const double[:, ::1] cost not None, int32_t[::1] column_of_row not None):
    """Step 5's assignment: fills the column of every row; cost has at most as many rows as columns."""
    cdef int rows = <int>cost.shape[0], columns = <int>cost.shape[1], failed
    with nogil:
        failed = hae_assign(&cost[0, 0], rows, columns, &column_of_row[0])
    if failed:
        raise MemoryError


def group_by_tag(const float[:, ::1] value not None, const int32_t[:, ::1] x not None,
                 const int32_t[:, ::1] y not None, const float[:, :, ::1] tag not None,
                 const int32_t[::1] joint_order not None, params):
    """Step 5: persons (P, K, 3 + L) float32."""
    cdef HaeCandidates candidates
    cdef HaePersons persons
    cdef HaeSettings settings = _settings(params, (1, 1), (1, 1))
    cdef int failed
    candidates.value = <float *>&value[0, 0]  # grouping only reads them
    candidates.x = <int32_t *>&x[0, 0]
    candidates.y = <int32_t *>&y[0, 0]
    candidates.tag = <float *>&tag[0, 0, 0]
    candidates.joints = <int>value.shape[0]
    candidates.count = <int>value.shape[1]
    candidates.length = <int>tag.shape[2]
    with nogil:
        failed = hae_group(&candidates, &joint_order[0], &settings, &persons)
    if failed:
        raise MemoryError
    try:
        return _joint_values(persons, 0, 3 + persons.length)
    finally:
        free(persons.rows)


def adjust(float[:, :, ::1] persons not None, const float[:, :, ::1] heat not None, params):
    """Step 6, in place."""
    cdef HaePersons people = _persons_view(persons)
    cdef HaeHeat heat_of = _heat_view(heat)
    cdef HaeSettings settings = _settings(params, (1, 1), (1, 1))
    with nogil:
        hae_adjust(&people, &heat_of, &settings)


def refine(float[:, :, ::1] persons not None, const float[:, :, ::1] heat not None,
           const float[:, :, :, :] tags not None, params):
    """Step 7, in place."""
    cdef HaePersons people = _persons_view(persons)
    cdef HaeHeat heat_of = _heat_view(heat)
    cdef HaeTags tags_of = _tags_view(tags)
    cdef HaeSettings settings = _settings(params, (1, 1), (1, 1))
    cdef int failed
    with nogil:
        failed = hae_refine(&people, &heat_of, &tags_of, &settings)
    if failed:
        raise MemoryError


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
