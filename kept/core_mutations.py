import subprocess,os,sys,time
M=[
("range gt includes","range.rs","self.above((version.0 as u64).saturating_add(1))","self.above(version.0 as u64)"),
("range gte excludes","range.rs","pub const fn gte(self, version: Version) -> Self {\n        self.above(version.0 as u64)","pub const fn gte(self, version: Version) -> Self {\n        self.above((version.0 as u64).saturating_add(1))"),
("range lt includes","range.rs","self.below((version.0 as u64).saturating_sub(1))","self.below(version.0 as u64)"),
("range lte excludes","range.rs","pub const fn lte(self, version: Version) -> Self {\n        self.below(version.0 as u64)","pub const fn lte(self, version: Version) -> Self {\n        self.below((version.0 as u64).saturating_sub(1))"),
("limit ignored descending","range.rs","first = first.max(last.saturating_add(1).saturating_sub(limit));",""),
("limit ignored ascending","range.rs","last = last.min(first.saturating_add(limit).saturating_sub(1));",""),
("query direction not turned for show","range.rs","Self { is_shown_descending: false, ..self }","self"),
("gap accepted","batch.rs","Ordering::Greater => Err(AppendError::Gap { stream, expected, actual }),","Ordering::Greater => Ok(()),"),
("conflict accepted","batch.rs","Ordering::Less => Err(AppendError::Conflict { stream, expected, actual }),","Ordering::Less => Ok(()),"),
("wrong kind accepted","batch.rs","if actual != kind {","if false {"),
("events after discard accepted","batch.rs","Ordering::Equal if current.is_some_and(|head| head.discarded) => Err(AppendError::Discarded { stream }),",""),
("batch not checked against itself","batch.rs","let current = self.head_before(index, stream).or(head);","let current = head.or(self.head_before(index, stream));"),
("tracker not checked","batch.rs","if after == at && position > at {","if true {"),
("tracker may go back","batch.rs","if after == at && position > at {","if after == at {"),
("load beyond end is current","faces/load.rs","version if version > head.version => Err(LoadError::BeyondEnd { actual: head.version }),",""),
("load wrong kind","faces/load.rs","if head.kind != kind {","if false {"),
("load discarded","faces/load.rs","        if head.discarded {\n            return Err(LoadError::Discarded { version: head.version });\n        }\n        self.load_nearest(id, head.version)","        self.load_nearest(id, head.version)"),
("contains discarded","faces/load.rs","head.kind == A::KIND && !head.discarded","head.kind == A::KIND"),
("contains other kind","faces/load.rs","head.kind == A::KIND && !head.discarded","!head.discarded"),
("unreadable snapshot not passed over","faces/load.rs","passed_over.get_or_insert((record.version, record.schema, error));","passed_over.get_or_insert((record.version, record.schema, error)); break Root::new(id);"),
("retry once too often","faces/execute.rs","if left > 0 => {","if left > 0 || attempts == 5 && left == 0 && { left = 1; true } => {"),
("retry on any error","faces/execute.rs","Err(ExecuteError::Log(AppendError::Conflict { .. })) if left > 0","Err(ExecuteError::Log(_)) if left > 0"),
("apply before append","faces/execute.rs","        let appended = self.records.append(&mut batch).await?;\n        apply(&batch, root, appended.first).map_err(AppendError::from)?;\n        Ok(appended)\n    }\n\n    /// Decides, appends","@skip"),
("snapshot of discarded","faces/snapshots.rs","        if root.is_discarded() {\n            return Err(AppendError::Discarded { stream: root.id() });\n        }\n",""),
("snapshot taken twice","faces/snapshots.rs","if !stands {","if true {"),
("snapshot never due","faces/snapshots.rs","if !root.snapshot_is_due(A::PERIOD) {","if true {"),
("section current off by one when full","archive.rs","self.containing(bounds.next)","self.containing(bounds.last())"),
("section misaligned accepted","archive.rs","if id.first != first || Position(end).previous() != last {","if false {"),
("section backwards accepted","archive.rs","        if last < first {\n            return Err(SectionIdError::Backwards);\n        }\n",""),
("reader reads past its end","reader.rs","if position > self.reader.last {","if false {"),
("reader takes a section with a hole","reader.rs","if count != events || first > self.seen.next() {","if count != events {"),
("reader takes wrong count","reader.rs","if count != events || first > self.seen.next() {","if first > self.seen.next() {"),
("place not stored with the reaction","faces/process/follower.rs","        batch.track_from(self.tracker, place.stored, at).map_err(AppendError::from)?;\n        records.append","        records.append"),
("checkpoint never","faces/process/follower.rs","} else if at.since(place.stored) >= u64::from(M::CHECKPOINT) {","} else if false {"),
("checkpoint always","faces/process/follower.rs","} else if at.since(place.stored) >= u64::from(M::CHECKPOINT) {","} else if true {"),
("dependency not waited for","faces/process/follower.rs","if seen < needed {","if false {"),
("dependency not announced","faces/process/follower.rs","reaction.batch.push(op, |out| codec::encode(&saw, out)).map_err(|error| failed(error.into()))?;","let _ = (op, saw);"),
("feedback unbounded","faces/process/follower.rs","left = left.checked_sub(1).ok_or(ReactError::Endless { most: M::FEEDBACK })?;","left = left.wrapping_sub(u32::from(left > 900_000)); if index > 40 { break; }"),
("own log with feedback","faces/process/follower.rs","            return Err(ProcessError::OwnLog);","            {}"),
("prompts lost","faces/process/system.rs","None => self.queue.push_all(prompted & !failed),","None => {}"),
("failed member forgotten","faces/process/system.rs","self.queue.push_all(later | failed);","self.queue.push_all(later);"),
("failed member stops all","faces/process/system.rs","                    first = first.or(Some(SystemError { member, error }));","                    first = first.or(Some(SystemError { member, error })); break;"),
("view keeps half an event","faces/process/views.rs","state.view.take_in(&record).map_err(error)?;","let _ = state.view.take_in(&record).map_err(error);"),
("copy not compared","faces/replica.rs","Some(_) => Err(ReplicateError::Contradiction { position }),","Some(_) => Ok(()),"),
("copy takes a hole","faces/replica.rs","if at != position {","if false {"),
("head of chain not over header","integrity/chain.rs","        mac.update(&header.bytes());\n",""),
("chain not over what is stored","integrity/chain.rs","        mac.update(stored);\n",""),
("not found out if opened wrongly","integrity/sealing.rs","        if !opened {\n            data.fill(0);\n            return Err(tampered);\n        }\n",""),
("nonce of snapshots not counted","integrity/sealing.rs","self.serial = self.serial.checked_add(1).ok_or(IntegrityError::KeyWornOut)?;",""),
("snapshot ahead of the log believed","faces/sealed.rs","Some(reach) if reach.position > last => {","Some(reach) if reach.position > last && false => {"),
("destroyed key still read","integrity/sealing.rs","StreamKey::Destroyed => Err(IntegrityError::Erased(stream)),","StreamKey::Destroyed => Ok(()),"),
("local events told","batch.rs","@skip","@skip"),
]
src='/tmp/q-mut/core/src/'
env=dict(os.environ,CARGO_TARGET_DIR='/work/tgt-q/mut',CARGO_PROFILE_DEV_DEBUG='0',CARGO_INCREMENTAL='0',CARGO_BUILD_JOBS='2')
def run():
    b=subprocess.run(['nice','-n','8','cargo','build','--offline','-q','--manifest-path','/tmp/q-mut/harness/Cargo.toml'],env=env,capture_output=True,text=True)
    if b.returncode: return 'BUILD '+'; '.join(l for l in b.stderr.splitlines() if l.startswith('error'))[:200]
    try: r=subprocess.run(['/work/tgt-q/mut/debug/harness'],capture_output=True,text=True,timeout=60)
    except subprocess.TimeoutExpired: return 'FAILED hangs'
    return (r.stdout.strip().splitlines() or ['FAILED crash'])[-1]
print('control',run(),flush=True)
for name,f,old,new in M:
    if old.startswith('@'): continue
    t=open(src+f).read()
    if old not in t: print(name,'| NOT APPLIED',flush=True); continue
    open(src+f,'w').write(t.replace(old,new,1))
    try: print(name,'|',run(),flush=True)
    finally: open(src+f,'w').write(t)
