// base: what every other module stands on. Includes all of it.
#ifndef TB_BASE_H
#define TB_BASE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/exp.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/json_read.h"
#include "base/json_text.h"
#include "base/lock.h"
#include "base/markup.h"
#include "base/mem.h"
#include "base/option.h"
#include "base/parallel.h"
#include "base/partfile.h"
#include "base/ranks.h"
#include "base/report.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/target.h"
#include "base/utf8.h"

#endif
