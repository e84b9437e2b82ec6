"""The compiled kernels: Python's way into the C of this folder.

Arguments are checked by the callers (hrnetae.steps, hrnetae.decoder); nothing here can fail but for memory. Every
function takes whole tensors and releases the GIL while it works.
"""

from cpython.buffer cimport PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import threading

import numpy as np

from hrnetae.params import MODES as _MODES, PERSON_SCORES as _PERSON_SCORES, SUBPIXEL as _SUBPIXEL


cdef extern from "<hrnetae.h>" nogil:
    const char *HRNETAE_VERSION

    enum:
        HRNETAE_RESCORING_NUMBERS

    ctypedef struct hrnetae_params:
        int32_t mode, max_num_people, nms_kernel
        double detection_threshold, tag_threshold
        int32_t use_detection_val, ignore_too_much, tag_per_joint, adjust, refine, project2image, align_corners
        int32_t use_udp, score_per_joint, restore_heatmap_size
        double center_shift
        int32_t input_width, input_height, tag_window, second_pass, subpixel, person_score
        double suppress_oks, filled_floor
        int32_t exact_geometry
        const double *rescoring


cdef extern from "steps.h" nogil:
    int HAE_FEATURES

    ctypedef struct HaeMaps:
        const void *data
        int is_half, channels, height, width

    ctypedef struct HaeOutputs:
        const HaeMaps *plain
        const HaeMaps *flipped
        int scales, stages, tag_scale, tag_stage, joints
        const int32_t *flip_index
        const int32_t *joint_order
        const double *sigmas

    ctypedef struct HaeSettings:
        int score_per_joint, keep_features

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
        double *features

    void hae_map_size(const HaeOutputs *, const HaeSettings *, int *, int *)
    int hae_project_heat(const HaeOutputs *, const HaeSettings *, float *)
    int hae_project_tags(const HaeOutputs *, const HaeSettings *, float *)
    int hae_heatmap_nms(const float *, int, int, int, int, float *)
    int hae_top_k(const float *, int, int, const HaeTags *, HaeCandidates *)
    size_t hae_assign_bytes(int)
    void hae_assign(void *, int, int, int32_t *)
    int hae_group(const HaeCandidates *, const int32_t *, const HaeSettings *, HaePersons *)
    void hae_adjust(HaePersons *, const HaeHeat *, const HaeSettings *)
    int hae_refine(HaePersons *, const HaeHeat *, const HaeTags *, const HaeSettings *)
    int hae_decode(const HaeOutputs *, const HaeSettings *, int, HaeArena *, HaePoses *)
    ctypedef struct HaeArena:
        pass
    HaeArena *hae_arena_make()
    void hae_arena_free(HaeArena *)
    void hae_poses_free(HaePoses *)


cdef extern from "settings.h" nogil:
    void hae_fill_settings(const hrnetae_params *, int, int, const HaeMaps *, const HaeMaps *, HaeSettings *)


cdef extern from "batch.h" nogil:
    ctypedef struct HaeImage:
        HaeOutputs outputs
        HaeSettings settings
        HaePoses poses
        int failed

    ctypedef struct HaeBatch:
        HaeImage **images
        int level
        long count

    void hae_decode_batch(HaeBatch *, HaeArena *)
    void hae_stop_batch(HaeBatch *)


cdef extern from "dispatch.h" nogil:
    int hae_has_level(int)


def version():
    """Of the kernels, and so of the package: it stands in hrnetae.h alone."""
    return HRNETAE_VERSION.decode("ascii")


def has_level(int level):
    """Whether this processor has a level: 0 baseline, 1 AVX2."""
    return bool(hae_has_level(level))


cdef int _fill_settings(HaeSettings *s, params, image_size, const HaeMaps *first, const HaeMaps *finest) except -1:
    """params: DecodeParams; first, finest: the network's maps of the first stage and of the last."""
    cdef hrnetae_params p
    cdef double[HRNETAE_RESCORING_NUMBERS] rescoring
    p.mode = _MODES.index(params.mode)
    p.max_num_people = params.max_num_people
    p.nms_kernel = params.nms_kernel
    p.detection_threshold = params.detection_threshold
    p.tag_threshold = params.tag_threshold
    p.use_detection_val = params.use_detection_val
    p.ignore_too_much = params.ignore_too_much
    p.tag_per_joint = params.tag_per_joint
    p.adjust = params.adjust
    p.refine = params.refine
    p.project2image = params.project2image
    p.align_corners = params.align_corners
    p.use_udp = params.use_udp
    p.score_per_joint = params.score_per_joint
    p.restore_heatmap_size = params.restore_heatmap_size
    p.center_shift = params.center_shift
    p.input_width, p.input_height = params.input_size or (0, 0)
    p.tag_window = params.tag_window
    p.second_pass = params.second_pass
    p.subpixel = _SUBPIXEL.index(params.subpixel)
    p.person_score = _PERSON_SCORES.index(params.person_score)
    p.suppress_oks = params.suppress_oks
    p.filled_floor = params.filled_floor
    p.exact_geometry = params.exact_geometry
    p.rescoring = NULL
    if params.rescoring is not None:
        for i, number in enumerate(params.rescoring.numbers()):
            rescoring[i] = number
        p.rescoring = rescoring
    cdef int width, height
    width, height = image_size
    hae_fill_settings(&p, width, height, first, finest, s)
    return 0


cdef HaeSettings _step_settings(params):
    """For a step that knows neither the image nor the network's maps."""
    cdef HaeSettings settings
    cdef HaeMaps one_pixel
    one_pixel.width = one_pixel.height = 1
    _fill_settings(&settings, params, (1, 1), &one_pixel, &one_pixel)
    return settings


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


# ---------------------------------------------------------------------------------------------- one image on its way

# An image that the kernels work on, with the buffers it reads: they stay where they are until _close.
cdef struct Image:
    HaeImage work
    HaeMaps *maps       # plain, then flipped
    Py_buffer *views    # flip index, joint order and sigmas, then those of maps
    int viewed


cdef Py_buffer *_view(Image *image, array) except NULL:
    """array: without gaps; a plain buffer, since float16 has no type in C."""
    cdef Py_buffer *view = &image.views[image.viewed]
    PyObject_GetBuffer(array, view, PyBUF_ND)
    image.viewed += 1
    return view


cdef int _point_at(Image *image, arrays, HaeMaps *maps) except -1:
    """arrays: (C, H, W) float32 or float16."""
    cdef Py_buffer *view
    for array in arrays:
        view = _view(image, array)
        maps.data = view.buf
        maps.is_half = view.itemsize == 2
        maps.channels = <int>view.shape[0]
        maps.height = <int>view.shape[1]
        maps.width = <int>view.shape[2]
        maps += 1
    return 0


cdef int _fill_outputs(Image *image, maps, flip_index, joint_order, sigmas) except -1:
    cdef HaeOutputs *outputs = &image.work.outputs
    cdef int count
    outputs.scales = maps.scales
    outputs.stages = maps.stages
    outputs.tag_scale = maps.tag_scale
    outputs.tag_stage = maps.tag_stage
    count = outputs.scales * outputs.stages
    outputs.joints = <int>len(flip_index)
    outputs.flip_index = <const int32_t *>_view(image, flip_index).buf
    outputs.joint_order = <const int32_t *>_view(image, joint_order).buf
    outputs.sigmas = <const double *>_view(image, sigmas).buf
    _point_at(image, maps.plain, image.maps)
    outputs.plain = image.maps
    if maps.flipped is not None:
        _point_at(image, maps.flipped, image.maps + count)
        outputs.flipped = image.maps + count
    return 0


cdef int _fill_all_settings(Image *image, params, image_size) except -1:
    return _fill_settings(&image.work.settings, params, image_size, image.maps,
                          &image.maps[image.work.outputs.stages - 1])


cdef Image *_open(maps, flip_index, joint_order, sigmas, params, image_size) except NULL:
    """maps: hrnetae.outputs.OutputMaps; flip_index, joint_order: (K,) int32; sigmas: (K,) float64. Ends with _close."""
    cdef Py_ssize_t arrays = len(maps.plain) + (0 if maps.flipped is None else len(maps.flipped))
    cdef size_t views = (arrays + 3) * sizeof(Py_buffer)
    cdef Image *image = <Image *>PyMem_Calloc(1, sizeof(Image) + views + arrays * sizeof(HaeMaps))
    if not image:
        raise MemoryError
    image.views = <Py_buffer *>(image + 1)
    image.maps = <HaeMaps *>(<char *>image.views + views)
    try:
        _fill_outputs(image, maps, flip_index, joint_order, sigmas)
        _fill_all_settings(image, params, image_size)
    except BaseException:
        _close(image)
        raise
    return image


cdef void _close(Image *image) noexcept:
    cdef int i
    hae_poses_free(&image.work.poses)
    for i in range(image.viewed):
        PyBuffer_Release(&image.views[i])
    PyMem_Free(image)


# ------------------------------------------------------------------------------------------------- arrays of results

_empty = np.empty
_float32 = np.dtype(np.float32)


cdef int _copy_rows(array, const float *source, size_t rows, size_t stride, size_t count) except -1:
    """Fills a new float32 array with ``count`` floats of each row."""
    cdef Py_buffer view
    cdef float *target
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    target = <float *>view.buf
    with nogil:
        for _ in range(rows):
            memcpy(target, source, count * sizeof(float))
            target += count
            source += stride
    PyBuffer_Release(&view)
    return 0


cdef _joint_values(const HaePersons *persons, int first, int count):
    """Columns first..first+count-1 of every joint, as (P, K, count) float32."""
    values = _empty((persons.count, persons.joints, count), _float32)
    _copy_rows(values, persons.rows + first, <size_t>persons.count * persons.joints, 3 + persons.length, count)
    return values


cdef _scores(const HaePoses *poses, bint per_joint):
    """(P,) float32, or (P, K) where there is one score per joint."""
    cdef int count = poses.persons.count, each = poses.scores_per_person
    cdef tuple shape = (count,)
    if per_joint:
        shape = (count, each)
    scores = _empty(shape, _float32)
    _copy_rows(scores, poses.scores, 1, 0, <size_t>count * each)
    return scores


cdef _people(const HaeImage *image):
    """keypoints (P, K, 3), scores (P,) or (P, K), tags (P, K, L), float32."""
    cdef const HaePersons *persons = &image.poses.persons
    return (
        _joint_values(persons, 0, 3),
        _scores(&image.poses, image.settings.score_per_joint),
        _joint_values(persons, 3, persons.length),
    )


# ------------------------------------------------------------------------------------------------ dense arrays of steps

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


cdef int _check_level(int level) except -1:
    if level >= 0 and not hae_has_level(level):
        raise ValueError(f"level: {level}, expected one that this processor has")
    return 0


def decode(maps, flip_index, joint_order, sigmas, params, image_size, int level):
    """All steps for one image.

    maps: hrnetae.outputs.OutputMaps; flip_index, joint_order: (K,) int32; sigmas: (K,) float64.
    level: of the instructions, one that has_level; below 0 for the dense way. The answer does not depend on it.
    Returns keypoints (P, K, 3), scores (P,) or (P, K), tags (P, K, L), float32, in image pixels.
    """
    _check_level(level)
    cdef HaeArena *arena = _this_threads_arena()
    cdef Image *image = _open(maps, flip_index, joint_order, sigmas, params, image_size)
    cdef HaeImage *work = &image.work
    try:
        with nogil:
            work.failed = hae_decode(&work.outputs, &work.settings, level, arena, &work.poses)
        if work.failed:
            raise MemoryError
        return _people(work)
    finally:
        _close(image)


def decode_features(maps, flip_index, joint_order, sigmas, params, image_size, int level):
    """As decode, and what rescoring knows of the persons: (P, F) float64, as the last of four."""
    _check_level(level)
    cdef HaeArena *arena = _this_threads_arena()
    cdef Image *image = _open(maps, flip_index, joint_order, sigmas, params, image_size)
    cdef HaeImage *work = &image.work
    cdef double[:, ::1] view
    cdef Py_ssize_t person, i
    try:
        work.settings.keep_features = 1
        with nogil:
            work.failed = hae_decode(&work.outputs, &work.settings, level, arena, &work.poses)
        if work.failed:
            raise MemoryError
        features = np.empty((work.poses.persons.count, HAE_FEATURES))
        view = features
        for person in range(view.shape[0]):
            for i in range(view.shape[1]):
                view[person, i] = work.poses.features[person * view.shape[1] + i]
        return *_people(work), features
    finally:
        _close(image)


cdef HaeBatch *_batch_of(object capsule) except NULL:
    return <HaeBatch *>PyCapsule_GetPointer(capsule, "hrnetae.batch")


cdef void _free_batch(object capsule) noexcept:
    cdef HaeBatch *batch = <HaeBatch *>PyCapsule_GetPointer(capsule, "hrnetae.batch")
    cdef long i
    for i in range(batch.count):
        _close(<Image *>batch.images[i])
    PyMem_Free(batch)


def open_batch(images, flip_index, joint_order, sigmas, params, int level):
    """Images for decode_batch: pairs of maps and image_size. The rest: as in decode. The arrays are held as long as
    the batch."""
    _check_level(level)
    cdef size_t most = len(images)
    cdef HaeBatch *batch = <HaeBatch *>PyMem_Calloc(1, sizeof(HaeBatch) + most * sizeof(HaeImage *))
    if not batch:
        raise MemoryError
    batch.images = <HaeImage **>(batch + 1)
    batch.level = level
    try:
        capsule = PyCapsule_New(batch, "hrnetae.batch", _free_batch)
    except MemoryError:
        PyMem_Free(batch)
        raise
    for maps, image_size in images:
        batch.images[batch.count] = <HaeImage *>_open(maps, flip_index, joint_order, sigmas, params, image_size)
        batch.count += 1
    return capsule


def decode_batch(capsule):
    """Decodes images of a batch until none is left that no thread has taken. For any number of threads at once."""
    cdef HaeArena *arena = _this_threads_arena()
    cdef HaeBatch *batch = _batch_of(capsule)
    with nogil:
        hae_decode_batch(batch, arena)


def stop_batch(capsule):
    """The threads in decode_batch finish the image they have taken, and return."""
    hae_stop_batch(_batch_of(capsule))


def people_of_batch(capsule):
    """What decode returns, for each image; None where memory ran out. Once all threads have left decode_batch."""
    cdef HaeBatch *batch = _batch_of(capsule)
    cdef long i
    return [None if batch.images[i].failed else _people(batch.images[i]) for i in range(batch.count)]


def project(maps, flip_index, joint_order, sigmas, params, image_size):
    """Steps 1 and 2 alone: heat (K, H, W) and tags (K or 1, L, H, W), float32."""
    cdef Image *image = _open(maps, flip_index, joint_order, sigmas, params, image_size)
    cdef HaeOutputs *outputs = &image.work.outputs
    cdef HaeSettings *settings = &image.work.settings
    cdef int width, height, failed
    cdef float[:, :, ::1] heat_view
    cdef float[:, :, :, ::1] tags_view
    try:
        hae_map_size(outputs, settings, &width, &height)
        joints = outputs.joints
        heat = np.empty((joints, height, width), np.float32)
        tags = np.empty((joints if params.tag_per_joint else 1, 2 if outputs.flipped else 1, height, width), np.float32)
        heat_view = heat
        tags_view = tags
        with nogil:
            failed = (hae_project_heat(outputs, settings, &heat_view[0, 0, 0])
                      or hae_project_tags(outputs, settings, &tags_view[0, 0, 0, 0]))
        if failed:
            raise MemoryError
        return heat, tags
    finally:
        _close(image)


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
    cdef int rows = <int>cost.shape[0], columns = <int>cost.shape[1]
    cdef void *memory = malloc(hae_assign_bytes(columns))
    if not memory:
        raise MemoryError
    with nogil:
        memcpy(memory, &cost[0, 0], <size_t>rows * columns * sizeof(double))
        hae_assign(memory, rows, columns, &column_of_row[0])
        free(memory)


def group_by_tag(const float[:, ::1] value not None, const int32_t[:, ::1] x not None,
                 const int32_t[:, ::1] y not None, const float[:, :, ::1] tag not None,
                 const int32_t[::1] joint_order not None, params):
    """Step 5: persons (P, K, 3 + L) float32."""
    cdef HaeCandidates candidates
    cdef HaePersons persons
    cdef HaeSettings settings = _step_settings(params)
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
        return _joint_values(&persons, 0, 3 + persons.length)
    finally:
        free(persons.rows)


def adjust(float[:, :, ::1] persons not None, const float[:, :, ::1] heat not None, params):
    """Step 6, in place."""
    cdef HaePersons people = _persons_view(persons)
    cdef HaeHeat heat_of = _heat_view(heat)
    cdef HaeSettings settings = _step_settings(params)
    with nogil:
        hae_adjust(&people, &heat_of, &settings)


def refine(float[:, :, ::1] persons not None, const float[:, :, ::1] heat not None,
           const float[:, :, :, :] tags not None, params):
    """Step 7, in place."""
    cdef HaePersons people = _persons_view(persons)
    cdef HaeHeat heat_of = _heat_view(heat)
    cdef HaeTags tags_of = _tags_view(tags)
    cdef HaeSettings settings = _step_settings(params)
    cdef int failed
    with nogil:
        failed = hae_refine(&people, &heat_of, &tags_of, &settings)
    if failed:
        raise MemoryError


include "_oks.pxi"
