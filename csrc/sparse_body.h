/* One image, all steps, without image-sized maps. Compiled once for each level of dispatch.h: the including file sets
 * the compiler's target and LEVEL(name). The answer has the bits of decode.c's dense way at every level.
 */
#include "dispatch.h"
#include "search_many.h"

typedef struct {
    HaeArena *arena;
    HaeField field;
    int maps;                 /* scales x stages */
    HaeBounds *bounds;        /* [joint][map][side] */
    void *line;               /* find_bounds' scratch */
    HaeCandidates candidates;
    size_t *kept;      /* per joint: how many of its candidates are above the threshold */
    HaeRise *rises;    /* of candidates, found with them */
    float *cells; /* scratch: the widest map's width + 16 */
    HaePeakFinder *finder;
    HaeSearch *search;
} Work;

/* ------------------------------------------------------------------ the grids */

/* first[cell]: the first pixel whose near cell is this one or a later one; first[cells] is the number of pixels. */
static void find_first(const HaeAxis *axis, int32_t *first)
{
    int cell = 0;
    for (int i = 0; i < axis->out; i++)
        while (cell <= axis->near[i])
            first[cell++] = i;
    while (cell <= axis->in)
        first[cell++] = axis->out;
}

/* The pixels before[cell]..after[cell]-1 have the cell's corner between their neighbours, or are it, or lie in the
 * constant half cell beyond the first or last corner. */
static void find_near(const HaeAxis *axis, const int32_t *first, int32_t *before, int32_t *after)
{
    for (int cell = 0; cell < axis->in; cell++) {
        int next = first[cell];
        while (next < axis->out && axis->near[next] == cell && axis->far_weight[next] == 0.0f)
            next++;
        before[cell] = first[cell] > 0 ? first[cell] - 1 : 0;
        after[cell] = next < axis->out ? next + 1 : axis->out;
    }
    after[axis->in - 1] = axis->out;
}

static int make_grid(HaeArena *arena, HaeGrid *grid, const HaeMaps *maps, int width, int height, int align_corners)
{
    const size_t columns = (size_t)maps->width + 1, rows = (size_t)maps->height + 1;
    void *column_memory = hae_arena_take(arena, hae_axis_bytes(width));
    void *row_memory = hae_arena_take(arena, hae_axis_bytes(height));
    int32_t *places = hae_arena_take(arena, 3 * (columns + rows) * sizeof(int32_t));
    if (!column_memory || !row_memory || !places)
        return -1;
    grid->width = maps->width;
    grid->height = maps->height;
    grid->identity = maps->width == width && maps->height == height;
    grid->narrow = 4 * (size_t)maps->width <= 3 * (size_t)width;
    hae_axis_fill(&grid->columns, column_memory, maps->width, width, align_corners && !grid->identity);
    hae_axis_fill(&grid->rows, row_memory, maps->height, height, align_corners && !grid->identity);
    grid->first_column = places;
    grid->near_left = grid->first_column + columns;
    grid->near_right = grid->near_left + columns;
    grid->first_row = grid->near_right + columns;
    grid->near_top = grid->first_row + rows;
    grid->near_bottom = grid->near_top + rows;
    find_first(&grid->columns, grid->first_column);
    find_first(&grid->rows, grid->first_row);
    find_near(&grid->columns, grid->first_column, grid->near_left, grid->near_right);
    find_near(&grid->rows, grid->first_row, grid->near_top, grid->near_bottom);
    return 0;
}

/* ------------------------------------------------------------------ room to work */

static int make_grids(Work *work, const HaeOutputs *outputs, const HaeSettings *settings)
{
    HaeField *field = &work->field;
    const int sides = outputs->flipped ? 2 : 1;
    work->maps = outputs->scales * outputs->stages;
    HaeGrid *grids = hae_arena_take(work->arena, (size_t)work->maps * sizeof(HaeGrid));
    if (!grids)
        return -1;
    *field = (HaeField){outputs, settings, 0, 0, sides, sides, grids};
    hae_map_size(outputs, settings, &field->width, &field->height);
    for (int map = 0; map < work->maps; map++)
        if (make_grid(work->arena, &grids[map], &outputs->plain[map], field->width, field->height,
                      settings->align_corners))
            return -1;
    return 0;
}

static int make_bounds(Work *work)
{
    const int joints = work->field.outputs->joints, sides = work->field.sides;
    size_t values = 0, widest = 0;
    for (int map = 0; map < work->maps; map++) {
        const HaeGrid *grid = &work->field.grids[map];
        values += (size_t)sides * blocks_of(grid->width) * blocks_of(grid->height);
        widest = (size_t)grid->width > widest ? (size_t)grid->width : widest;
    }
    HaeBounds *bounds = hae_arena_take(work->arena, (size_t)joints * work->maps * sides * sizeof(HaeBounds));
    /* Whole lanes are read of the last ones. */
    float *value = hae_arena_take(work->arena, ((size_t)joints * values + LANES) * sizeof(float));
    work->cells = hae_arena_take(work->arena, (widest + 2 * LANES) * sizeof(float));
    work->line = hae_arena_take(work->arena, 4 * (widest + 4 * BLOCK) * sizeof(int32_t));
    if (!bounds || !value || !work->cells || !work->line)
        return -1;
    work->bounds = bounds;
    for (int joint = 0; joint < joints; joint++)
        for (int map = 0; map < work->maps; map++)
            for (int side = 0; side < sides; side++, bounds++) {
                const HaeGrid *grid = &work->field.grids[map];
                *bounds = (HaeBounds){blocks_of(grid->width), blocks_of(grid->height), value, 0.0f};
                value += (size_t)bounds->across * bounds->down;
            }
    return 0;
}

/* The largest float32 that is not above the threshold. */
static float float_threshold(double threshold)
{
    const float rounded = (float)threshold;
    return (double)rounded > threshold ? nextafterf(rounded, -INFINITY) : rounded;
}

/* The blocks of a grid, related to every map. */
static HaeBlocks *make_blocks(Work *work, const HaeGrid *base)
{
    const int across = blocks_of(base->width), down = blocks_of(base->height);
    size_t widest = 0;
    for (int map = 0; map < work->maps; map++)
        if ((size_t)blocks_of(work->field.grids[map].width) > widest)
            widest = (size_t)blocks_of(work->field.grids[map].width);
    HaeBlocks *blocks = hae_arena_take(work->arena, sizeof(HaeBlocks));
    HaeSpan *spans = hae_arena_take(work->arena, (size_t)work->maps * sizeof(HaeSpan));
    int32_t *places = hae_arena_take(work->arena, 2 * (size_t)work->maps * (across + down) * sizeof(int32_t));
    float *line = hae_arena_take(work->arena, (4 * (size_t)across + widest) * sizeof(float));
    if (!blocks || !spans || !places || !line)
        return NULL;
    *blocks = (HaeBlocks){base, across, down, spans, line};
    for (int map = 0; map < work->maps; map++) {
        spans[map] = (HaeSpan){places, places + across, places + 2 * across, places + 2 * across + down};
        places += 2 * (across + down);
        fill_spans(&work->field, blocks, map);
    }
    return blocks;
}

static const HaeGrid *finest_grid(const Work *work)
{
    const HaeGrid *finest = &work->field.grids[0];
    for (int map = 1; map < work->maps; map++)
        if (work->field.grids[map].width > finest->width)
            finest = &work->field.grids[map];
    return finest;
}

static int make_slopes(Work *work, const HaeBlocks *blocks, HaeSlopes *slopes)
{
    const size_t maps = (size_t)work->maps;
    *slopes = (HaeSlopes){.field = &work->field, .blocks = blocks};
    slopes->columns = hae_arena_take(work->arena, maps * sizeof(HaeTouched));
    slopes->rows = hae_arena_take(work->arena, maps * sizeof(HaeTouched));
    slopes->free_columns = hae_arena_take(work->arena, (size_t)blocks->across);
    slopes->free_row = hae_arena_take(work->arena, (size_t)blocks->base->height);
    slopes->tiles = hae_arena_take(work->arena, maps * TILE_NODES * sizeof(float));
    int32_t *numbers = hae_arena_take(work->arena, slopes_numbers(blocks, work->maps) * sizeof(int32_t));
    if (!slopes->tiles || !slopes->columns || !slopes->rows || !slopes->free_columns || !slopes->free_row || !numbers)
        return -1;
    memset(slopes->tiles, 0, maps * TILE_NODES * sizeof(float)); /* rows that no tile reaches are read, too */
    fill_slopes(slopes, work->maps, numbers);
    return 0;
}

static int make_candidates(Work *work)
{
    const HaeField *field = &work->field;
    HaeCandidates *candidates = &work->candidates;
    const int64_t pixels = (int64_t)field->width * field->height;
    const int most = field->settings->max_num_people;
    const int joints = field->outputs->joints, count = most < pixels ? most : (int)pixels;
    const size_t places = (size_t)joints * count;
    *candidates = (HaeCandidates){hae_arena_take(work->arena, places * sizeof(float)),
                                  hae_arena_take(work->arena, places * sizeof(int32_t)),
                                  hae_arena_take(work->arena, places * sizeof(int32_t)),
                                  hae_arena_take(work->arena, places * field->length * sizeof(float)),
                                  joints, count, field->length};
    work->kept = hae_arena_take(work->arena, (size_t)joints * sizeof(size_t));
    work->rises = hae_arena_take(work->arena, places * sizeof(HaeRise));
    HaePeakFinder *finder = work->finder = hae_arena_take(work->arena, sizeof(HaePeakFinder));
    HaeRanked *entries = hae_arena_take(work->arena, (size_t)count * sizeof(HaeRanked));
    if (!candidates->value || !candidates->x || !candidates->y || !candidates->tag)
        return -1;
    if (!work->kept || !work->rises || !finder || !entries)
        return -1;
    finder->field = field;
    finder->reach = field->settings->nms_kernel / 2;
    finder->threshold = float_threshold(field->settings->detection_threshold);
    finder->blocks = make_blocks(work, finest_grid(work));
    finder->selection = (HaeSelection){entries, 0, count};
    if (!finder->blocks)
        return -1;
    finder->slopes.usable = 0;
    return nodes_suffice(finder) ? 0 : make_slopes(work, finder->blocks, &finder->slopes);
}

static int make_cell_heat(Work *work, const HaeGrid *base, HaeCellHeat *heat)
{
    const size_t maps = (size_t)work->maps, numbers = touched_numbers(base->width) + touched_numbers(base->height);
    *heat = (HaeCellHeat){.field = &work->field};
    heat->columns = hae_arena_take(work->arena, maps * sizeof(HaeTouched));
    heat->rows = hae_arena_take(work->arena, maps * sizeof(HaeTouched));
    int32_t *memory = hae_arena_take(work->arena, maps * numbers * sizeof(int32_t));
    if (!heat->columns || !heat->rows || !memory)
        return -1;
    fill_cell_heat(heat, base, work->maps, memory);
    return 0;
}

static int make_search(Work *work)
{
    const HaeField *field = &work->field;
    const HaeOutputs *outputs = field->outputs;
    const HaeGrid *grid = &field->grids[outputs->tag_scale * outputs->stages + outputs->tag_stage];
    const int across = blocks_of(grid->width), down = blocks_of(grid->height);
    const size_t blocks = (size_t)padded(across * down);
    HaeSearch *search = work->search = hae_arena_take(work->arena, sizeof(HaeSearch));
    float *values = hae_arena_take(work->arena, (4 + 2 * MAX_LENGTH) * blocks * sizeof(float));
    int32_t *waiting = hae_arena_take(work->arena, 2 * blocks * sizeof(int32_t));
    HaeOpenBlock *opened = hae_arena_take(work->arena, OPEN_BLOCKS * sizeof(HaeOpenBlock));
    float *opened_bounds = hae_arena_take(work->arena, blocks * CELLS * sizeof(float));
    if (!search || !values || !waiting || !opened || !opened_bounds)
        return -1;
    search->blocks = make_blocks(work, grid);
    if (!search->blocks)
        return -1;
    search->field = field;
    search->grid = grid;
    search->across = across;
    search->down = down;
    search->one_grid = work->maps == 1;
    if (!search->one_grid && make_cell_heat(work, grid, &search->cell_heat))
        return -1;
    search->cells = work->cells;
    search->heat_bound = values;
    search->block_bound = values + (1 + 2 * MAX_LENGTH) * blocks;
    search->waiting_bound = search->block_bound + blocks;
    search->opened_rest = search->waiting_bound + blocks;
    search->opened_bounds = opened_bounds;
    search->waiting = waiting;
    search->opened_block = waiting + blocks;
    memset(values, 0, (4 + 2 * MAX_LENGTH) * blocks * sizeof(float));
    for (int l = 0; l < MAX_LENGTH; l++) {
        search->low[l] = values + (1 + 2 * l) * blocks;
        search->high[l] = values + (2 + 2 * l) * blocks;
    }
    search->opened = opened;
    for (int i = 0; i < OPEN_BLOCKS; i++)
        opened[i].joint = -1;
    search->has_empty_blocks = 0;
    for (int block = 0; block < across * down; block++)
        search->has_empty_blocks |= is_empty(rect_of_block(search, block));
    return 0;
}

/* ------------------------------------------------------------------ the steps */

static HaeBounds *joint_bounds(const Work *work, int joint)
{
    return work->bounds + (size_t)joint * work->maps * work->field.sides;
}

static void find_joint_bounds(Work *work, int joint)
{
    HaeBounds *bounds = joint_bounds(work, joint);
    for (int map = 0; map < work->maps; map++)
        for (int side = 0; side < work->field.sides; side++, bounds++) {
            const HaeSource source = heat_source(&work->field, map, side, joint);
            find_bounds(&source, work->line, bounds);
        }
}

/* Nothing after the last joint, or where there are several maps to a joint. */
static HaeAhead ahead_of_heat(const HaeField *field, int joint)
{
    HaeAhead ahead = {{0, 0}, {0, 0}};
    if (joint < field->outputs->joints && field->outputs->scales * field->outputs->stages == 1)
        for (int side = 0; side < field->sides; side++) {
            const HaeSource source = heat_source(field, 0, side, joint);
            ahead_of_map(&ahead, side, &source);
        }
    return ahead;
}

static HaeAhead ahead_of_tags(const HaeField *field, int joint)
{
    HaeAhead ahead = {{0, 0}, {0, 0}};
    if (joint < field->outputs->joints && field->settings->tag_per_joint)
        for (int side = 0; side < field->sides; side++) {
            const HaeSource source = tag_source(field, side, joint);
            ahead_of_map(&ahead, side, &source);
        }
    return ahead;
}

static void find_candidates(Work *work, int joint)
{
    const HaeField *field = &work->field;
    HaeCandidates *candidates = &work->candidates;
    HaePeakFinder *finder = work->finder;
    HaeSelection *selection = &finder->selection;
    const size_t first = (size_t)joint * candidates->count;
    finder->joint = joint;
    finder->bounds = joint_bounds(work, joint);
    finder->ahead = ahead_of_heat(field, joint + 1);
    selection->count = 0;
    find_peaks(finder);
    hae_select_sort(selection);
    for (int place = 0; place < selection->count; place++) {
        const int64_t index = selection->entries[place].index;
        const int x = (int)(index % field->width), y = (int)(index / field->width);
        candidates->value[first + place] = selection->entries[place].value;
        candidates->x[first + place] = x;
        candidates->y[first + place] = y;
        work->rises[first + place] =
            (HaeRise){selection->entries[place].across, selection->entries[place].down};
        ask_for_tags(field, joint, x, y);
    }
    work->kept[joint] = (size_t)selection->count;
    if (selection->count < candidates->count) /* nothing above the threshold follows */
        candidates->value[first + selection->count] = 0.0f;
}

/* The tags at a joint's candidates. They lie far apart in memory, which they were asked for when they were found. */
static void read_tags(Work *work, int joint)
{
    HaeCandidates *candidates = &work->candidates;
    const size_t first = (size_t)joint * candidates->count;
    const int reach = work->field.settings->tag_window / 2;
    for (size_t at = first; at < first + work->kept[joint]; at++) {
        float *tag = candidates->tag + at * candidates->length;
        if (reach > 0)
            sample_average_tag(&work->field, joint, candidates->x[at], candidates->y[at], reach, tag);
        else
            sample_tags(&work->field, joint, candidates->x[at], candidates->y[at], tag);
    }
}

/* Which way the heat rises at a grouped joint: as at the candidate that it was. */
static HaeRise rise_of(const Work *work, int joint, const float *row)
{
    const HaeCandidates *candidates = &work->candidates;
    const size_t first = (size_t)joint * candidates->count;
    for (size_t at = first; at < first + work->kept[joint]; at++)
        if ((float)candidates->x[at] == row[0] && (float)candidates->y[at] == row[1])
            return work->rises[at];
    return (HaeRise){0, 0}; /* a missing joint */
}

static void adjust_persons(Work *work, HaePersons *persons)
{
    const HaeField *field = &work->field;
    const HaeSettings *settings = field->settings;
    float *row = persons->rows;
    for (int person = 0; person < persons->count; person++)
        for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length) {
            if (settings->use_udp && settings->mode == HAE_REFERENCE) {
                const HaePatch patch = sample_patch(field, joint, hae_truncate(row[0]), hae_truncate(row[1]), 2,
                                                    work->search->heat);
                hae_dark_step(row, &patch);
            } else {
                hae_adjust_joint(row, rise_of(work, joint, row), field->width, field->height, settings);
            }
        }
}

static int mean_tag_of(const HaeField *field, const HaePersons *persons, const float *rows, float *collected,
                       float *mean)
{
    const int length = field->length;
    int count = 0;
    for (int joint = 0; joint < persons->joints; joint++) {
        const float *row = rows + (size_t)joint * (3 + length);
        if (!(row[2] > 0.0f))
            continue;
        float *tag = collected + (size_t)count * length;
        sample_tags(field, joint, hae_truncate_inside(row[0], field->width), hae_truncate_inside(row[1], field->height),
                    tag);
        count += hae_is_finite(tag[0]) && hae_is_finite(tag[length - 1]);
    }
    return hae_mean_tag(collected, count, length, mean);
}

static void fill_in_at(Work *work, float *row, int joint, int64_t pixel)
{
    const HaeField *field = &work->field;
    if (pixel < 0)
        return;
    const int x = (int)(pixel % field->width), y = (int)(pixel / field->width);
    const HaePatch patch = sample_patch(field, joint, x, y, 1, work->search->heat);
    hae_fill_in(row, &patch, x, y, field->settings);
}

/* Persons share what the search learns of a joint's maps. */
static void fill_in_joint(Work *work, HaePersons *persons, int joint, HaeMany *many)
{
    HaeSearch *search = work->search;
    const int length = work->field.length;
    int all_pixels_seen = 0;
    begin_joint(search, joint, joint_bounds(work, joint));
    search->ahead = ahead_of_tags(&work->field, joint + 1);
    for (int place = 0; place < many->count; place++) {
        const size_t person = (size_t)many->person[place];
        HaeBest best = {-INFINITY, -1};
        if (!all_pixels_seen && takes_long(search, many->count - place)) {
            search_many(search, many, place);
            all_pixels_seen = 1;
        }
        if (all_pixels_seen)
            best = many->best[place];
        if (!all_pixels_seen || !is_settled(search, best))
            best = search_joint(search, many->means + person * length, best);
        fill_in_at(work, persons->rows + (person * persons->joints + joint) * (3 + length), joint, best.index);
    }
}

static void fill_in_all(Work *work, HaePersons *persons, const unsigned char *has_mean, HaeMany *many)
{
    const size_t stride = (size_t)persons->joints * (3 + work->field.length);
    for (int joint = 0; joint < persons->joints; joint++) {
        const float *row = persons->rows + (size_t)joint * (3 + work->field.length);
        many->count = 0;
        for (int person = 0; person < persons->count; person++)
            if (has_mean[person] && row[person * stride + 2] == 0.0f)
                many->person[many->count++] = person;
        if (many->count)
            fill_in_joint(work, persons, joint, many);
    }
}

static int refine_persons(Work *work, HaePersons *persons)
{
    const HaeField *field = &work->field;
    const size_t length = (size_t)field->length, count = (size_t)persons->count, joints = (size_t)persons->joints;
    float *collected = hae_arena_take(work->arena, joints * length * sizeof(float));
    float *means = hae_arena_take(work->arena, count * length * sizeof(float));
    unsigned char *has_mean = hae_arena_take(work->arena, count);
    HaeMany many = {0, hae_arena_take(work->arena, count * sizeof(int32_t)),
                    hae_arena_take(work->arena, count * sizeof(HaeBest)),
                    hae_arena_take(work->arena, (BINS * BINS + 1) * sizeof(int32_t)),
                    hae_arena_take(work->arena, BINS_A_PERSON * count * sizeof(int32_t)),
                    hae_arena_take(work->arena, BINS * BINS * sizeof(float)), means};
    if (!collected || !means || !has_mean || !many.person || !many.best || !many.start || !many.listed
        || !many.lowest)
        return -1;
    for (size_t person = 0; person < count; person++)
        has_mean[person] = (unsigned char)mean_tag_of(field, persons, persons->rows + person * joints * (3 + length),
                                                      collected, means + person * length);
    fill_in_all(work, persons, has_mean, &many);
    return 0;
}

static int decode_with(Work *work, const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses)
{
    HaePersons *persons = &poses->persons;
    if (make_grids(work, outputs, settings) || make_bounds(work) || make_candidates(work) || make_search(work))
        return -1;
    for (int joint = 0; joint < outputs->joints; joint++) {
        find_joint_bounds(work, joint);
        find_candidates(work, joint);
        if (joint > 0)
            read_tags(work, joint - 1);
    }
    read_tags(work, outputs->joints - 1);
    if (hae_group(&work->candidates, outputs->joint_order, settings, persons))
        return -1;
    if (settings->adjust || settings->mode == HAE_MMPOSE1)
        adjust_persons(work, persons);
    if (hae_take_scores(settings, poses) || (settings->refine && refine_persons(work, persons)))
        return -1;
    return hae_finish_poses(outputs, settings, work->field.width, work->field.height, poses);
}

int LEVEL(hae_decode_sparse)(const HaeOutputs *outputs, const HaeSettings *settings, HaeArena *arena, HaePoses *poses)
{
    Work work = {.arena = arena};
    return decode_with(&work, outputs, settings, poses);
}
