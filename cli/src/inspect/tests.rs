use ihex::{Record, create_object_file_representation};

use super::input::{Input, Part, read};

fn parts(input: Input) -> Vec<(u64, Vec<u8>)> {
    input.parts.into_iter().map(|Part { address, bytes }| (address, bytes)).collect()
}

fn data(offset: u16, value: &[u8]) -> Record {
    Record::Data { offset, value: value.to_vec() }
}

fn hex(records: &[Record]) -> Vec<u8> {
    create_object_file_representation(&[records, &[Record::EndOfFile]].concat()).unwrap().into_bytes()
}

fn refusal(file: &[u8]) -> String {
    let error = read(file.to_vec()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn raw_bytes_are_taken_as_they_are() {
    for bytes in [&b""[..], b"EK\x01", b":", b":0", b":00000001FG", b"\x7fELF", b":binary, that begins like this"] {
        let input = read(bytes.to_vec()).unwrap();
        assert_eq!((input.format, parts(input)), ("binary", vec![(0, bytes.to_vec())]));
    }
}

#[test]
fn intel_hex_is_known_by_its_first_line() {
    let file = hex(&[
        Record::ExtendedLinearAddress(0x0800),
        data(0x0010, &[1, 2]),
        data(0x0012, &[3]),
        data(0x0016, &[4]), // what is not told in between is erased
        Record::StartLinearAddress(0x0800_0000),
        Record::ExtendedLinearAddress(0x1000), // far away, as device settings are
        data(0x1000, &[5]),
    ]);
    let expected = vec![(0x0800_0010, vec![1, 2, 3, 0xFF, 0xFF, 0xFF, 4]), (0x1000_1000, vec![5])];
    let dos: Vec<u8> =
        file.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect();
    let marked = [b"\xEF\xBB\xBF\n", &file[..]].concat();
    for file in [file, dos, marked] {
        let input = read(file).unwrap();
        assert_eq!((input.format, parts(input)), ("intel-hex", expected.clone()));
    }
}

#[test]
fn records_may_come_in_any_order_and_by_segments() {
    let file = hex(&[data(0x20, &[2; 4]), Record::ExtendedSegmentAddress(0x0001), data(0, &[1; 16])]);
    assert_eq!(parts(read(file).unwrap()), vec![(0x10, [vec![1; 16], vec![2; 4]].concat())]);
}

#[test]
fn broken_intel_hex_is_refused_in_one_line_that_says_where() {
    assert!(refusal(b":0100000001FF\n:00000001FF\n").contains("line 1"), "a wrong checksum");
    assert!(refusal(b":0100000001FE\n:01000\n:00000001FF\n").contains("line 2"), "a record cut off");
    assert!(refusal(b":0100000001FE\n").contains("cut off"), "a file cut off");
    assert!(refusal(b":00000001FF\n:0100000001FE\n").contains("line 2"), "more behind the end");
    assert!(refusal(b":0100000001FE\n\xC3\xA9\n:00000001FF\n").contains("line 2"), "no ASCII");
    assert!(refusal(&hex(&[data(0, &[1, 2]), data(1, &[3])])).contains("given twice"));
    assert!(refusal(&hex(&[data(0, &[1]), data(4, &[2]), data(0, &[3])])).contains("given twice"));
}

#[test]
fn what_is_there_instead_of_a_log_is_told() {
    let told = |bytes: &[u8]| read(bytes.to_vec()).unwrap().instead_of_a_log();
    assert!(told(b"").contains("empty"));
    assert!(told(&[0xFF; 99]).contains("erased"));
    assert!(told(b"\x7fELF and so on").contains("ELF"));
    assert!(told(b"UF2\n and so on").contains("UF2"));
    assert!(told(b"S00600004844521B\n").contains("S-record"));
    assert!(told(b"something else").contains("header"));
}
