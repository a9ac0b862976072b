# pause on Nim's ORC, the nearest relative: see pause/pause.h. One thread; the latencies are sorted.
import std/[os, strutils, monotimes, random, algorithm]

type Node = ref object
  a, b, c: Node
  payload: int64

proc number(name: string, otherwise: float): float =
  result = otherwise
  for i in countup(1, paramCount() - 1, 2):
    if paramStr(i) == name: result = parseFloat(paramStr(i + 1))

proc main =
  let n = int(number("--live", 1e6))
  let seconds = number("--seconds", 15)
  var rand = initRand(99)
  var live = newSeq[Node](n)
  for x in live.mitems: x = Node()
  for i in 0 ..< n:
    live[i].a = live[(i + 1) mod n]
    live[i].b = live[rand.rand(n - 1)]
    live[i].c = live[rand.rand(n - 1)]
  var slots = newSeq[Node](1024)
  var times = newSeqOfCap[int64](int(seconds * 3e6))
  for phase in 0 .. 1:
    var before = getMonoTime().ticks
    let ends = before + int64((if phase == 1: seconds else: number("--warm", 3)) * 1e9)
    while before < ends:
      let p = Node(payload: before)
      let q = Node(payload: before)
      let r = Node(payload: before)
      let t = Node(payload: before)
      p.a = q; q.a = r; r.a = t; t.a = p
      p.b = t; q.b = p; r.b = q; t.b = r
      p.c = live[rand.rand(n - 1)]
      q.c = live[rand.rand(n - 1)]
      r.c = live[rand.rand(n - 1)]
      t.c = live[rand.rand(n - 1)]
      slots[rand.rand(1023)] = p
      let f = live[rand.rand(n - 1)]
      if (rand.next() and 1) == 0: f.b = live[rand.rand(n - 1)]
      else: f.c = live[rand.rand(n - 1)]
      let now = getMonoTime().ticks
      if phase == 1: times.add(now - before)
      before = now
  times.sort()
  var longs, longSum, sum: int64
  for ns in times:
    sum += ns
    if ns >= 1_000_000:
      longs += 1
      longSum += ns
  proc us(fraction: float): float =
    times[min(times.len - 1, int(times.len.float * fraction))].float / 1e3
  echo "Mops_s=", times.len.float / seconds / 1e6, " p50_us=", us(0.5), " p99_us=", us(0.99),
    " p999_us=", us(0.999), " p9999_us=", us(0.9999), " max_us=", times[^1].float / 1e3,
    " over_1ms=", longs, " over_1ms_share=", longSum.float / max(sum, 1).float
  quit 0

main()
