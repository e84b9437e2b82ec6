/* Step 5: greedy grouping, joint by joint (Newell et al. 2017), as the reference does it.
 *
 * A candidate joins the person whose mean tag is near, by an assignment over all candidates and persons of the
 * joint, or founds a person. Persons are keyed by a number, the first tag value of their founder: a founder whose key
 * exists already takes over that joint of the existing person and resets the tags which that person has collected.
 */
#include "steps.h"
#include "numbers.h"

#include <stdlib.h>

#define PADDING_COST 1e10

typedef struct {
    HaePersons *persons;
    float *key;               /* per person; NaN, which equals nothing: founded by a tag that is not finite */
    float *collected;         /* per person: the tags in the order of collection, if length is 1; else their sum */
    size_t room;              /* of collected for a person */
    int32_t *collections;     /* per person: how many */
    float *mean;              /* per person: length */
    unsigned char *matchable; /* per person: its mean is finite */
} Groups;

/* The candidates of one joint that are above the threshold: the first `count` of top-k's. */
typedef struct {
    int joint, count;
    const float *value, *tag;
    const int32_t *x, *y;
} Kept;

/* What the assignment of one joint needs; rows: candidates, columns: persons, both only where tags are finite. */
typedef struct {
    int32_t *row_of, *paired;    /* per candidate; per row */
    int32_t *candidate, *person; /* of a row; of a column */
    double *mean;                /* length x columns */
    double *distance;            /* rows x columns */
    double *cost;                /* what hae_assign works on */
    int most;                    /* rows and columns that there is room for */
} Matching;

static int all_finite(const float *values, int count)
{
    for (int i = 0; i < count; i++)
        if (!hae_is_finite(values[i]))
            return 0;
    return 1;
}

static float *joint_row(const Groups *groups, int person, int joint)
{
    const HaePersons *persons = groups->persons;
    return persons->rows + ((size_t)person * persons->joints + joint) * (3 + persons->length);
}

static void write_joint(Groups *groups, int person, const Kept *kept, int candidate)
{
    const int length = groups->persons->length;
    float *row = joint_row(groups, person, kept->joint);
    row[0] = (float)kept->x[candidate];
    row[1] = (float)kept->y[candidate];
    row[2] = kept->value[candidate];
    for (int l = 0; l < length; l++) {
        const float tag = kept->tag[(size_t)candidate * length + l];
        row[3 + l] = hae_is_finite(tag) ? tag : 0.0f;
    }
}

/* hae_numpy_mean_column, tag by tag: NumPy adds vectors one after the other, so that a running sum has its bits; only
 * single numbers are summed in another order, from the start. */
static void collect_tag(Groups *groups, int person, const float *tag)
{
    const int length = groups->persons->length;
    float *collected = groups->collected + (size_t)person * groups->room;
    float *mean = groups->mean + (size_t)person * length;
    const int count = ++groups->collections[person];
    if (length == 1) {
        collected[count - 1] = tag[0];
        mean[0] = hae_numpy_mean_column(collected, (size_t)count, 1, 0);
    } else {
        for (int l = 0; l < length; l++) {
            collected[l] = count == 1 ? tag[l] : collected[l] + tag[l];
            mean[l] = collected[l] / (float)count;
        }
    }
    groups->matchable[person] = (unsigned char)all_finite(mean, length);
}

static int person_of_key(const Groups *groups, float key)
{
    for (int person = 0; person < groups->persons->count; person++)
        if (groups->key[person] == key)
            return person;
    return -1;
}

static void found(Groups *groups, const Kept *kept, int candidate)
{
    HaePersons *persons = groups->persons;
    const float *tag = kept->tag + (size_t)candidate * persons->length;
    const float key = all_finite(tag, persons->length) ? tag[0] : NAN;
    int person = person_of_key(groups, key);
    if (person < 0) {
        person = persons->count++;
        groups->key[person] = key;
        memset(joint_row(groups, person, 0), 0, (size_t)persons->joints * (3 + persons->length) * sizeof(float));
    }
    write_joint(groups, person, kept, candidate);
    groups->collections[person] = 0;
    collect_tag(groups, person, tag);
}

static void join(Groups *groups, int person, const Kept *kept, int candidate)
{
    write_joint(groups, person, kept, candidate);
    collect_tag(groups, person, kept->tag + (size_t)candidate * groups->persons->length);
}

/* np.linalg.norm in float64: from a row's tag to each column's mean. Column by column in the inner loops, which
 * compilers turn into vectors. */
static void find_distances(const Matching *matching, const float *tag, int length, int columns, double *distance)
{
    for (int l = 0; l < length; l++) {
        const double *mean = matching->mean + (size_t)l * columns;
        const double value = (double)tag[l];
        for (int column = 0; column < columns; column++) {
            const double difference = value - mean[column];
            distance[column] = (l ? distance[column] : 0.0) + difference * difference;
        }
    }
    for (int column = 0; column < columns; column++)
        distance[column] = sqrt(distance[column]);
}

static void find_costs(const double *distance, double value, int columns, const HaeSettings *settings, double *cost)
{
    if (settings->use_detection_val)
        for (int column = 0; column < columns; column++)
            cost[column] = hae_rint_positive_double(distance[column]) * 100.0 - value;
    else
        memcpy(cost, distance, (size_t)columns * sizeof(double));
}

/* Pairs rows with columns at least cost; rows that outnumber the columns meet padding columns. paired[row] is a
 * column, or one past the real ones. */
static void solve(const Matching *matching, const Kept *kept, int rows, int columns, const HaeSettings *settings,
                  int length)
{
    const int padded = rows > columns ? rows : columns;
    for (int row = 0; row < rows; row++) {
        const int candidate = matching->candidate[row];
        double *distance = matching->distance + (size_t)row * columns, *cost = matching->cost + (size_t)row * padded;
        find_distances(matching, kept->tag + (size_t)candidate * length, length, columns, distance);
        find_costs(distance, (double)kept->value[candidate], columns, settings, cost);
        for (int column = columns; column < padded; column++)
            cost[column] = PADDING_COST;
    }
    hae_assign(matching->cost, rows, padded, matching->paired);
}

static void matching_free(Matching *matching)
{
    free(matching->cost);
    free(matching->distance);
    free(matching->row_of);
    *matching = (Matching){0};
}

/* Makes room for `most` rows and columns, and for some more, since persons come joint by joint; what was there is
 * lost. */
static int matching_reserve(Matching *matching, int most, int length)
{
    if (most <= matching->most)
        return 0;
    matching_free(matching);
    most += most / 4 + 8;
    const size_t size = (size_t)most;
    matching->most = most;
    matching->cost = malloc(hae_assign_bytes(most));
    matching->distance = malloc(size * (size + (size_t)length) * sizeof(double));
    matching->row_of = malloc(4 * size * sizeof(int32_t));
    if (!matching->cost || !matching->distance || !matching->row_of)
        return -1;
    matching->mean = matching->distance + size * size;
    matching->paired = matching->row_of + size;
    matching->candidate = matching->paired + size;
    matching->person = matching->candidate + size;
    return 0;
}

/* The candidates and persons that can be paired at all. */
static int find_rows(Matching *matching, const Kept *kept, int length)
{
    int rows = 0;
    for (int candidate = 0; candidate < kept->count; candidate++) {
        matching->row_of[candidate] = -1;
        if (all_finite(kept->tag + (size_t)candidate * length, length)) {
            matching->candidate[rows] = candidate;
            matching->row_of[candidate] = rows++;
        }
    }
    return rows;
}

static int find_columns(Matching *matching, const Groups *groups, int persons)
{
    const int length = groups->persons->length;
    int columns = 0;
    for (int person = 0; person < persons; person++)
        if (groups->matchable[person])
            matching->person[columns++] = person;
    for (int l = 0; l < length; l++)
        for (int column = 0; column < columns; column++)
            matching->mean[(size_t)l * columns + column] =
                (double)groups->mean[(size_t)matching->person[column] * length + l];
    return columns;
}

/* Pairs the candidates with the first `persons` persons; returns how many of these can be paired at all, -1 where
 * memory ran out. */
static int pair_joint(const Groups *groups, Matching *matching, const Kept *kept, int persons,
                      const HaeSettings *settings)
{
    const int length = groups->persons->length;
    if (matching_reserve(matching, kept->count > persons ? kept->count : persons, length))
        return -1;
    const int rows = find_rows(matching, kept, length), columns = find_columns(matching, groups, persons);
    if (rows && columns)
        solve(matching, kept, rows, columns, settings, length);
    return columns;
}

/* The person that a candidate was paired with and is near enough to; -1: nobody. */
static int partner_of(const Matching *matching, int candidate, int columns, const HaeSettings *settings)
{
    const int row = matching->row_of[candidate];
    const int column = row >= 0 && columns ? matching->paired[row] : columns;
    if (column < columns && matching->distance[(size_t)row * columns + column] < settings->tag_threshold)
        return matching->person[column];
    return -1;
}

/* How many persons, from the first, joints may be given to. */
static int matched_persons(const Groups *groups, const HaeSettings *settings)
{
    const int persons = groups->persons->count, most = settings->max_num_people;
    return settings->ignore_too_much && settings->mode == HAE_REFERENCE && persons > most ? most : persons;
}

/* Where the first persons exist already: match, then join or found, candidate by candidate in top-k order. */
static int match_joint(Groups *groups, Matching *matching, const Kept *kept, const HaeSettings *settings)
{
    const int columns = pair_joint(groups, matching, kept, matched_persons(groups, settings), settings);
    if (columns < 0)
        return -1;
    for (int candidate = 0; candidate < kept->count; candidate++) {
        const int person = partner_of(matching, candidate, columns, settings);
        if (person >= 0)
            join(groups, person, kept, candidate);
        else
            found(groups, kept, candidate);
    }
    return 0;
}

static Kept keep(const HaeCandidates *candidates, int joint, double threshold)
{
    const size_t first = (size_t)joint * candidates->count;
    Kept kept = {joint, 0, candidates->value + first, candidates->tag + first * candidates->length,
                 candidates->x + first, candidates->y + first};
    while (kept.count < candidates->count && (double)kept.value[kept.count] > threshold)
        kept.count++;
    return kept;
}

static void groups_free(Groups *groups)
{
    free(groups->collected);
    free(groups->collections);
    free(groups->matchable);
}

static int groups_make(Groups *groups, HaePersons *persons, int capacity)
{
    const size_t most = (size_t)capacity + 1, length = (size_t)persons->length, joints = (size_t)persons->joints;
    groups->persons = persons;
    groups->room = length == 1 ? joints : length;
    groups->collected = malloc(most * (groups->room + length + 1) * sizeof(float));
    groups->collections = malloc(most * sizeof(int32_t));
    groups->matchable = malloc(most);
    persons->rows = malloc(most * joints * (3 + length) * sizeof(float));
    if (!groups->collected || !groups->collections || !groups->matchable || !persons->rows)
        return -1;
    groups->mean = groups->collected + most * groups->room;
    groups->key = groups->mean + most * length;
    return 0;
}

static int group_joints(Groups *groups, Matching *matching, const HaeCandidates *candidates, const int32_t *joint_order,
                        const HaeSettings *settings)
{
    for (int turn = 0; turn < candidates->joints; turn++) {
        const Kept kept = keep(candidates, joint_order[turn], settings->detection_threshold);
        if (groups->persons->count == 0) {
            for (int candidate = 0; candidate < kept.count; candidate++)
                found(groups, &kept, candidate);
        } else if (kept.count && match_joint(groups, matching, &kept, settings)) {
            return -1;
        }
    }
    return 0;
}

static void clear_joint(const Groups *groups, int joint)
{
    for (int person = 0; person < groups->persons->count; person++)
        memset(joint_row(groups, person, joint), 0, (3 + (size_t)groups->persons->length) * sizeof(float));
}

static void drop_empty_persons(HaePersons *persons)
{
    const size_t stride = 3 + (size_t)persons->length, floats = (size_t)persons->joints * stride;
    int count = 0;
    for (int person = 0; person < persons->count; person++) {
        const float *rows = persons->rows + person * floats;
        int found = 0;
        for (int joint = 0; joint < persons->joints && !found; joint++)
            found = rows[joint * stride + 2] != 0.0f;
        if (found)
            memmove(persons->rows + count++ * floats, rows, floats * sizeof(float));
    }
    persons->count = count;
}

/* Beyond the reference: the first pass compares a candidate with the few joints that its person had by then; this one
 * gives all joints away again, by the mean tags that the persons ended with. A candidate that nobody wants is left
 * out, and a person whom no joint is left. */
static int group_again(Groups *groups, Matching *matching, const HaeCandidates *candidates, const int32_t *joint_order,
                       const HaeSettings *settings)
{
    for (int turn = 0; turn < candidates->joints; turn++) {
        const Kept kept = keep(candidates, joint_order[turn], settings->detection_threshold);
        if (!kept.count)
            continue;
        const int columns = pair_joint(groups, matching, &kept, matched_persons(groups, settings), settings);
        if (columns < 0)
            return -1;
        clear_joint(groups, kept.joint);
        for (int candidate = 0; candidate < kept.count; candidate++) {
            const int person = partner_of(matching, candidate, columns, settings);
            if (person >= 0)
                write_joint(groups, person, &kept, candidate);
        }
    }
    drop_empty_persons(groups->persons);
    return 0;
}

/* Makes persons->rows (free it with free()). candidates must be best first. */
int hae_group(const HaeCandidates *candidates, const int32_t *joint_order, const HaeSettings *settings,
              HaePersons *persons)
{
    int most = 0;
    for (int joint = 0; joint < candidates->joints; joint++)
        most += keep(candidates, joint, settings->detection_threshold).count;
    *persons = (HaePersons){NULL, 0, candidates->joints, candidates->length};
    Groups groups = {0};
    Matching matching = {0};
    const int failed = groups_make(&groups, persons, most)
                    || group_joints(&groups, &matching, candidates, joint_order, settings)
                    || (settings->second_pass && group_again(&groups, &matching, candidates, joint_order, settings));
    matching_free(&matching);
    groups_free(&groups);
    if (failed) {
        free(persons->rows);
        persons->rows = NULL;
        return -1;
    }
    /* mmpose 1.x matches against everybody, and returns the first ones whatever ignore_too_much says. */
    if ((settings->ignore_too_much || settings->mode == HAE_MMPOSE1) && persons->count > settings->max_num_people)
        persons->count = settings->max_num_people;
    return 0;
}
